import assert from "node:assert/strict";
import { test } from "node:test";
import { makeRegistration } from "../../src/discovery/registration.ts";

const service = { name: "user", id: undefined, tags: ["v1"], meta: { version: "v1", zone: "a" } };
const sidecar = { version: "1.2.3", mtls: "disabled" };

test("the id is NAME-HOST-PORT of what is advertised, so that it survives a restart", () => {
  const registration = makeRegistration(service, { host: "10.0.0.1", port: 15006 }, sidecar);
  assert.deepEqual(registration, {
    id: "user-10.0.0.1-15006",
    name: "user",
    host: "10.0.0.1",
    port: 15006,
    tags: ["v1"],
    meta: { version: "v1", zone: "a", outrigger: "1.2.3", mtls: "disabled" },
    weight: 1,
  });
});

test("a configured id is kept, and meta cannot claim another version or mode than the sidecar's", () => {
  const meta = { outrigger: "9.9.9", mtls: "strict" };
  const registration = makeRegistration({ ...service, id: "mine", meta }, { host: "::1", port: 1 }, sidecar);
  assert.equal(registration.id, "mine");
  assert.deepEqual(registration.meta, { outrigger: "1.2.3", mtls: "disabled" });
});

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { checkCertificates } from "../../../src/control/doctor/certificates.ts";
import { certificateFiles, idOf, TestCa } from "../../support/certificates.ts";
import { clockOff, found, wrong } from "./surroundings.ts";

const DAY = 24 * 3_600_000;

async function files(t: TestContext, more: Parameters<typeof certificateFiles>[2] = {}) {
  const now = Date.now();
  const ca = await TestCa.make();
  const made = await certificateFiles(ca, "app", { notBefore: now - DAY, notAfter: now + 10 * DAY, ...more });
  t.after(() => made.remove());
  return { ...made, ca, config: { mtls: { mode: "strict", source: { files: made.files } } } };
}

test("a certificate in force, with its key, its authority and one identity, is in order", async (t) => {
  const { config } = await files(t);
  const findings = await found(checkCertificates, config);
  assert.deepEqual(wrong(findings), []);
  assert.ok(findings.some(({ evidence }) => evidence.includes(idOf("app"))));
});

test("one that has expired, is not yet valid, or ends soon is told with its times", async (t) => {
  const { config } = await files(t);
  const at = async (days: number): Promise<string> =>
    wrong(await found(checkCertificates, config, { clock: clockOff(days * DAY) }))[0] ?? "";
  assert.match(await at(11), /^error: .* it has expired/);
  assert.match(await at(-2), /^error: .* not yet/);
  assert.match(await at(9.5), /^warning: .* it ends within a day/);
});

test("a key of another certificate, another authority, and no identity are each found", async (t) => {
  const made = await files(t);
  const { config, ca } = made;
  const other = await TestCa.make();
  const { key } = await ca.issue("other");
  await made.write({ key });
  assert.match(
    wrong(await found(checkCertificates, config)).join(),
    /error: .* the key belongs to another certificate/,
  );
  await made.write({ ca: other.pem });
  assert.match(
    wrong(await found(checkCertificates, config)).join(),
    /warning: .* none of the 1 authorities in the ca file signed/,
  );
  const nameless = await files(t, { uris: [] });
  assert.match(wrong(await found(checkCertificates, nameless.config)).join(), /error: .* has 0 SPIFFE ids/);
});

test("files that are not there, or are none, are told with the reason", async (t) => {
  const made = await files(t);
  const { config } = made;
  await made.write({ key: "no key" });
  assert.match(wrong(await found(checkCertificates, config)).join(), /error: .* the key cannot be read/);
  await made.write({ cert: "no certificate" });
  assert.match(wrong(await found(checkCertificates, config)).join(), /error: mtls\.source\.files cannot be read/);
  await made.remove();
  assert.match(
    wrong(await found(checkCertificates, config)).join(),
    /error: mtls\.source\.files cannot be read: ENOENT/,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/types.ts";
import { changedFixedSettings } from "../../src/runtime/fixed-settings.ts";
import { sameApplication, samePlace } from "../../src/runtime/service-change.ts";

function config(text: string): Config {
  // What is published needs a source that takes it.
  const whole = text.includes("discovery:") ? text : `${text}\ndiscovery: { directory: { path: /mesh } }`;
  const loaded = loadConfig(whole, { file: "test.yaml", env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

const service = "service: { name: user, address: 127.0.0.1:1, tags: [a] }";

test("settings that cannot change are named, all of them, and what may change is not", () => {
  const before = config(service);
  const after = config(
    "service: { name: users, address: 127.0.0.1:2 }\nlisteners: { inbound: ':1', outbound: 127.0.0.1:12, admin: 127.0.0.1:3, probe: ':4' }",
  );
  assert.deepEqual(changedFixedSettings(before, after), [
    "service.name",
    "listeners.inbound",
    "listeners.outbound",
    "listeners.admin",
    "listeners.probe",
  ]);
  const other = config(
    "service: { name: user, address: 127.0.0.1:9 }\nupstreams: { a: { listen: 127.0.0.1:5 } }\ndrain: { notice: 1s }\nidentity: { name: x }",
  );
  assert.deepEqual(changedFixedSettings(before, other), []);
  assert.deepEqual(changedFixedSettings(before, config("identity: { name: x }")), ["service.name"]);
});

test("an application is another one where calls go elsewhere, not where only what is published of it changes", () => {
  const of = (text: string) => config(`service: { name: user, ${text} }`).service;
  const before = of("address: 127.0.0.1:1, tags: [a]");
  assert.ok(sameApplication(before, of("address: 127.0.0.1:1, tags: [b], meta: { v: x }, advertise: 127.0.0.1:7")));
  assert.ok(!sameApplication(before, of("address: 127.0.0.1:2, tags: [a]")));
  assert.ok(!sameApplication(before, of("address: 127.0.0.1:1, health: tcp")));
  assert.ok(!sameApplication(before, of("address: 127.0.0.1:1, protocol: http2")));
});

test("a service is published elsewhere, in the same place with other credentials, or as before", () => {
  const place = (before: string, after: string) =>
    samePlace(config(`discovery: { ${before} }`), config(`discovery: { ${after} }`));
  const consul = 'consul: { address: "http://127.0.0.1:8500" }';
  assert.equal(place(consul, consul), "same");
  assert.equal(place(consul, 'consul: { address: "http://127.0.0.1:8500", token: t }'), "credentials");
  assert.equal(place(consul, 'consul: { address: "http://127.0.0.1:8501" }'), "elsewhere");
  assert.equal(place(consul, "directory: { path: /a }"), "elsewhere");
  assert.equal(place("directory: { path: /a }", "directory: { path: /b }"), "elsewhere");
  assert.equal(place("directory: { path: /a }", "directory: { path: /a }"), "same");
});

import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ConsulConfig } from "../../src/config/types.ts";
import { type SourceOptions, sources } from "../../src/discovery/sources.ts";
import { consulOptions } from "./consul/support.ts";
import { dnsOptions } from "./dns/support.ts";
import { testServices } from "./services.ts";

// What the configuration calls its Consul is what the source takes, without a copy in between.
const consul: ConsulConfig = consulOptions("http://127.0.0.1:1");
const options: SourceOptions = {
  consul,
  directory: { path: join(tmpdir(), "outrigger-never-made") },
  dns: dnsOptions(),
  static: new Map(),
};

test("the table makes a source of each kind, which asks nobody before somebody subscribes", async () => {
  const services = testServices();
  const made = [
    sources.consul.create(options.consul, services),
    sources.directory.create(options.directory, services),
    sources.dns.create(options.dns, services),
    sources.static.create(options.static, services),
  ];
  assert.deepEqual(
    made.map((source) => source.kind),
    Object.keys(sources),
  );
  for (const source of made) await source.close();
  assert.deepEqual(services.lines, []);
});

test("a service can be published in Consul and in a directory, neither in DNS nor in a configuration", async () => {
  const services = testServices();
  for (const registrar of [
    sources.consul.registrar?.(options.consul, services),
    sources.directory.registrar?.(options.directory, services),
  ]) {
    assert.ok(registrar);
    // Nothing was registered, so there is nothing to withdraw.
    await registrar.deregister();
  }
  assert.equal(sources.dns.registrar, undefined);
  assert.equal(sources.static.registrar, undefined);
  assert.deepEqual(services.lines, []);
});

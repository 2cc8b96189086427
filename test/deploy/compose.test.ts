import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";

const folder = join(import.meta.dirname, "..", "..", "deploy");

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly network_mode?: string;
  readonly ports?: readonly string[];
}

const text = readFileSync(join(folder, "docker-compose.yaml"), "utf8");
const services: Readonly<Record<string, Service>> = parse(text, { merge: true }).services;

test("every file that the composition mounts or builds from is there", () => {
  for (const [name, { volumes = [], build }] of Object.entries(services)) {
    for (const volume of volumes) {
      const source = volume.split(":")[0] ?? "";
      if (source.startsWith("./")) assert.ok(existsSync(join(folder, source)), `${name}: ${source}`);
    }
    if (build !== undefined) assert.ok(existsSync(join(folder, build.context, build.dockerfile)), name);
  }
});

test("every configuration of a sidecar in it loads", () => {
  const mounted = Object.values(services)
    .flatMap(({ volumes = [] }) => volumes)
    .filter((volume) => volume.includes(":/etc/outrigger/outrigger.yaml"))
    .map((volume) => volume.split(":")[0] ?? "");
  assert.deepEqual([...new Set(mounted)].sort(), ["./compose/caller.yaml", "./compose/user.yaml"]);
  for (const file of new Set(mounted)) {
    const loaded = loadConfig(readFileSync(join(folder, file), "utf8"), { file, env: {} });
    assert.ok(loaded.ok, JSON.stringify(loaded));
  }
});

test("what one waits for is there, and each replica has a sidecar in its own network", () => {
  for (const [name, { depends_on: needs = [], network_mode: network }] of Object.entries(services)) {
    for (const need of Array.isArray(needs) ? needs : Object.keys(needs)) assert.ok(services[need], `${name}: ${need}`);
    if (network !== undefined) assert.equal(network, `service:${name.replace("-sidecar", "")}`);
  }
  assert.equal(Object.keys(services).filter((name) => /^user-\d-sidecar$/.test(name)).length, 3);
});

test("nothing is published beyond the machine", () => {
  for (const [name, { ports = [] }] of Object.entries(services))
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name);
});

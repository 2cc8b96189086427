import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/types.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Sources } from "../../src/runtime/sources.ts";

function config(text: string): Config {
  const loaded = loadConfig(text, { file: "test.yaml", env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

async function withSources(
  text: (folder: string) => string,
  body: (sources: Sources, folder: string) => void,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-sources-"));
  const services = { clock: systemClock, log: pino({ enabled: false }), random: Math.random, own: () => [] };
  const sources = new Sources(config(text(folder)), services);
  try {
    body(sources, folder);
  } finally {
    await sources.close();
    await rm(folder, { recursive: true, force: true });
  }
}

test("a source is the same object over every reload, whether or not its settings change", async () => {
  const at = (folder: string, more: string): string => `discovery: { directory: { path: ${folder}${more} } }`;
  await withSources(
    (folder) => at(folder, "/one"),
    (sources, folder) => {
      const directory = sources.of("directory");
      const fixed = sources.of("static");
      for (const more of ["/one", "/two"]) {
        sources.apply(config(at(folder, more)));
        assert.ok(sources.of("directory") === directory && sources.of("static") === fixed);
      }
      assert.throws(() => sources.of("consul"), /not configured/);
    },
  );
});

test("static endpoints are those of the configuration in force, and a subscription hears of them", async () => {
  const up = (...ports: number[]): string =>
    `upstreams: { up: { discovery: static, endpoints: [${ports.map((port) => `127.0.0.1:${port}`).join(", ")}] } }`;
  await withSources(
    () => up(7001),
    (sources) => {
      const { state } = sources.of("static").subscribe("up");
      const count = (): number => (state.current.kind === "known" ? state.current.endpoints.length : -1);
      assert.equal(count(), 1);
      sources.apply(config(up(7001, 7002)));
      assert.equal(count(), 2);
    },
  );
});

test("a source that comes with a reload is there, and only a source that takes services gives a registrar", async () => {
  await withSources(
    () => "{}",
    (sources, folder) => {
      assert.equal(sources.registrar(), undefined);
      sources.apply(config(`discovery: { directory: { path: ${folder}/mesh } }`));
      assert.equal(sources.of("directory").kind, "directory");
      assert.ok(sources.registrar() !== undefined);
    },
  );
});

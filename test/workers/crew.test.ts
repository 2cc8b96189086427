import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../src/core/clock.ts";
import { createLog } from "../../src/observability/log.ts";
import { makeServices } from "../../src/runtime/services.ts";
import { Crew } from "../../src/workers/crew.ts";
import { good } from "../config/load-text.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

function configOf(name: string, workers = 2) {
  return good(JSON.stringify({ identity: { name }, workers }));
}

function makeCrew(scope: Scope) {
  const lines: string[] = [];
  const config = configOf("one");
  const sink = { write: (line: string) => void lines.push(line) };
  const log = createLog({ service: "test", version: "test", level: "info", clock: systemClock, sink });
  const crew = new Crew({
    services: makeServices(systemClock, log, config, "test"),
    version: "test",
    control: () => [],
    script: join(import.meta.dirname, "scripted-worker.ts"),
    source: () => undefined,
    write: (line) => void lines.push(line),
    news: () => [],
  });
  scope.onEnd(() => crew.stop());
  return { crew, lines, config };
}

const names = async (crew: Crew) => await crew.ask({ kind: "clusters" });

for (const [how, id, why] of [
  ["throws", "crash", /a fault of a worker/],
  ["ends", "exit", /it ended with code 7/],
] as const) {
  test(`a worker that ${how} is replaced and counted, and its question is answered by the others`, async () => {
    await inScope(async (scope) => {
      const { crew, lines, config } = makeCrew(scope);
      await crew.start(config);
      assert.deepEqual(await names(crew), ["one", "one"]);
      assert.deepEqual(await crew.ask({ kind: "explain", id }), []);
      await eventually(
        async () => crew.restarts === 2 && (await names(crew)).length === 2,
        () => `${crew.restarts} restarts, ${crew.size} workers`,
        20_000,
      );
      assert.match(lines.join(""), why);
    });
  });
}

test("a replaced worker has the configuration that is in force", async () => {
  await inScope(async (scope) => {
    const { crew, config } = makeCrew(scope);
    await crew.start(config);
    await crew.apply(configOf("two"));
    await crew.ask({ kind: "explain", id: "exit" });
    await eventually(
      async () => JSON.stringify(await names(crew)) === '["two","two"]',
      () => "two workers of the second configuration",
      20_000,
    );
  });
});

test("a configuration that a worker refuses is refused, and workers that cannot begin fail the start", async () => {
  await inScope(async (scope) => {
    const { crew, config } = makeCrew(scope);
    await crew.start(config);
    await assert.rejects(crew.apply(configOf("refuse")), /^Error: no$/);
    assert.equal(crew.size, 2);
    const other = makeCrew(scope).crew;
    await assert.rejects(other.start(configOf("fail")), /it cannot/);
  });
});

test("a drain is over when that of every worker is, and sums what was cut", async () => {
  await inScope(async (scope) => {
    const { crew, config } = makeCrew(scope);
    await crew.start(config);
    let ended = 0;
    const cut = await crew.drain(Promise.resolve(), () => {
      ended++;
    });
    assert.equal(cut, 6);
    assert.equal(ended, 1);
  });
});

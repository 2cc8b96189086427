import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Registry } from "prom-client";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { createLog } from "../../src/observability/log.ts";
import type { UpstreamNews } from "../../src/runtime/runtime.ts";
import { makeServices } from "../../src/runtime/services.ts";
import { Crew } from "../../src/workers/crew.ts";
import { registerCrewMetrics } from "../../src/workers/crew-metrics.ts";
import { good } from "../config/load-text.ts";
import { FakeClock } from "../support/clock.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

function configOf(name: string, workers = 2) {
  return good(JSON.stringify({ identity: { name }, workers }));
}

function makeCrew(scope: Scope, clock: Clock = systemClock) {
  const lines: string[] = [];
  const config = configOf("one");
  const sink = { write: (line: string) => void lines.push(line) };
  const log = createLog({ service: "test", version: "test", level: "info", clock, sink });
  const crew = new Crew({
    services: makeServices(clock, log, config, "test"),
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

const ejected = (until: number): UpstreamNews => ({
  upstream: "up",
  of: { kind: "ejected", endpoint: "10.0.0.1:80", cause: "consecutiveFailures", detail: "5 in a row", until },
});
const opened = (until: number): UpstreamNews => ({
  upstream: "up",
  of: { kind: "breakerOpened", method: "", why: "all failed", until },
});
const letIn: UpstreamNews = { upstream: "up", of: { kind: "letIn", endpoint: "10.0.0.1:80" } };

const tell = async (crew: Crew, news: UpstreamNews) => await crew.ask({ kind: "explain", id: JSON.stringify(news) });
const heard = async (crew: Crew) => await crew.ask({ kind: "explain", id: "heard" });

/** Has every worker end, and waits until others have taken their places. */
async function renew(crew: Crew, clock: FakeClock): Promise<void> {
  const before = crew.restarts;
  await crew.ask({ kind: "explain", id: "exit" });
  await eventually(
    async () => {
      // The pauses before another one begins.
      clock.advance(1000);
      return crew.restarts === before + 2 && (await names(crew)).length === 2;
    },
    () => `${crew.restarts - before} restarts, ${crew.size} workers`,
    20_000,
  );
}

test("what a worker finds out the others have as it comes: no timer is waited for", async () => {
  await inScope(async (scope) => {
    // A clock that nobody moves: what needs a timer never happens.
    const clock = new FakeClock();
    const { crew, config } = makeCrew(scope, clock);
    await crew.start(config);
    const news = [ejected(clock.wall() + 30_000), opened(clock.wall() + 5000), letIn];
    for (const one of news) await tell(crew, one);
    // A worker's news went before its answer, and to the other before the next question. Both have told each.
    assert.deepEqual(await heard(crew), [news, news]);
    // What the control thread's checks find out goes the same way.
    const state = { kind: "unhealthy", since: clock.wall(), detail: "no answer" } as const;
    const checked: UpstreamNews = { upstream: "up", of: { kind: "checked", endpoint: "10.0.0.1:80", state } };
    crew.tell(checked);
    assert.deepEqual(await heard(crew), [
      [...news, checked],
      [...news, checked],
    ]);
  });
});

test("a worker that takes another's place begins with what is still so", async () => {
  await inScope(async (scope) => {
    const clock = new FakeClock();
    const { crew, config } = makeCrew(scope, clock);
    await crew.start(config);
    const news = [ejected(clock.wall() + 3_600_000), opened(clock.wall() + 1_800_000)];
    for (const one of news) await tell(crew, one);
    await renew(crew, clock);
    assert.deepEqual(await heard(crew), [news, news]);
    clock.advance(1_800_000);
    await renew(crew, clock);
    const [ejection] = news;
    assert.deepEqual(await heard(crew), [[ejection], [ejection]], "the breaker's time is over");
    await tell(crew, letIn);
    await renew(crew, clock);
    assert.deepEqual(await heard(crew), [[], []]);
  });
});

test("restarts of workers are a metric", async () => {
  const registry = new Registry();
  registerCrewMetrics(registry, { size: 2, restarts: 3 });
  const families = parseMetrics(await registry.metrics());
  assert.equal(sampleValue(families, "outrigger_worker_restarts_total", {}), 3);
  assert.equal(sampleValue(families, "outrigger_workers", {}), 2);
});

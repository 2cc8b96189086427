import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuntimeView } from "../../src/control/runtime-view.ts";
import type { ExplainedCall } from "../../src/observability/explain/explanations.ts";
import type { Crew } from "../../src/workers/crew.ts";
import { CrewView } from "../../src/workers/crew-view.ts";
import { FakeView } from "../control/fake-view.ts";

test("the last calls of all threads are listed by time, not by thread", async () => {
  const [call] = new FakeView().latestCalls(1, false);
  assert.ok(call !== undefined);
  const at = (second: number): ExplainedCall => ({ ...call, startedAt: `2026-01-01T12:00:0${second}.000Z` });
  const answers = [
    [at(7), at(3), at(1)],
    [at(8), at(5)],
  ];
  const crew = { ask: () => Promise.resolve(answers) } as unknown as Crew;
  const calls = await new CrewView({} as RuntimeView, crew).latestCalls(4, false);
  assert.deepEqual(
    calls.map(({ startedAt }) => Number(startedAt.slice(18, 19))),
    [8, 7, 5, 3],
  );
});

test("limits are the sum of what the workers have of them: the control thread, which knows them whole, has no part", async () => {
  const { known } = new FakeView();
  const own = { clusters: () => known } as RuntimeView;
  const crew = { ask: () => Promise.resolve([known, known]) } as unknown as Crew;
  const { bandwidth, concurrency } = await new CrewView(own, crew).clusters();
  assert.deepEqual(
    bandwidth.map(({ bytesPerSecond, burst }) => ({ bytesPerSecond, burst })),
    known.bandwidth.map(({ bytesPerSecond, burst }) => ({ bytesPerSecond: 2 * bytesPerSecond, burst: 2 * burst })),
  );
  assert.deepEqual(
    concurrency.map(({ limit }) => limit),
    known.concurrency.map(({ limit }) => 2 * limit),
  );
});

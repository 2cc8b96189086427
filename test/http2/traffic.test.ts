import assert from "node:assert/strict";
import { test } from "node:test";
import { Traffic, type TrafficCounts } from "../support/traffic.ts";

type Run = readonly [seed: number, steps: number];

/** Runs that found something once. */
const found: readonly Run[] = [
  // An end without octets while the stream's window was below 0.
  [375, 600],
  [2448, 600],
  // Two streams waited for the connection's window, the first for its own as well: the second was forgotten.
  [2602, 700],
  // A connection that was over in peace was destroyed since too much came after its end, and what it had said last was lost.
  [10_000_057, 1572],
];
const runs: readonly Run[] = [...Array.from({ length: 80 }, (_, at): Run => [at + 1, 500]), ...found];
const total: TrafficCounts = { streams: 0, octets: 0, resets: 0, injected: 0, goaways: 0, ends: 0 };

for (const [seed, steps] of runs) {
  test(`two engines in random legal traffic leave nothing behind, seed ${seed}`, async () => {
    const traffic = new Traffic(seed);
    await traffic.run(steps);
    for (const name of Object.keys(total) as (keyof TrafficCounts)[]) total[name] += traffic.counts[name];
  });
}

test("the traffic was worth it", () => {
  assert.ok(total.streams > 500 && total.octets > 1_000_000, JSON.stringify(total));
  assert.ok(total.resets > 100 && total.injected > 100 && total.goaways > 5 && total.ends > 2, JSON.stringify(total));
});

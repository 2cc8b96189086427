import assert from "node:assert/strict";
import { test } from "node:test";
import { Traffic, type TrafficCounts } from "../support/traffic.ts";

/** Seeds that found something once: an end without octets while a window was below 0. */
const found: readonly number[] = [375, 2448];
const seeds = [...Array.from({ length: 80 }, (_, at) => at + 1), ...found];
const total: TrafficCounts = { streams: 0, octets: 0, resets: 0, injected: 0, goaways: 0, ends: 0 };

for (const seed of seeds) {
  test(`two engines in random legal traffic leave nothing behind, seed ${seed}`, async () => {
    const traffic = new Traffic(seed);
    await traffic.run(500);
    for (const name of Object.keys(total) as (keyof TrafficCounts)[]) total[name] += traffic.counts[name];
  });
}

test("the traffic was worth it", () => {
  assert.ok(total.streams > 500 && total.octets > 1_000_000, JSON.stringify(total));
  assert.ok(total.resets > 100 && total.injected > 100 && total.goaways > 5 && total.ends > 2, JSON.stringify(total));
});

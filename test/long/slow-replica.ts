// What the choice of an endpoint does to latency where one replica of five is slow: a simulation with the pickers as they are, in
// simulated time. Two powers of choice (least requests, peak EWMA) against taking turns.
import assert from "node:assert/strict";
import { balancers } from "../../src/cluster/balancers/index.ts";
import { table } from "../bench/table.ts";
import { type Load, type Outcome, simulate } from "../support/queue-simulation.ts";
import { runLong } from "../support/results.ts";

const CHOSEN = ["roundRobin", "random", "leastRequest", "peakEwma"] as const;

/** Replicas with 8 workers of 10 ms a call can do 800 calls a second each; one of five has a fault. */
const cases: Readonly<Record<string, Pick<Load, "needs" | "rate" | "sidecars">>> = {
  "all alike": { needs: [10, 10, 10, 10, 10], rate: 2000, sidecars: 4 },
  "one 10 times as slow, and so overloaded by its turn": { needs: [10, 10, 10, 10, 100], rate: 2000, sidecars: 4 },
  "one 3 times as slow, which can just bear its turn": { needs: [10, 10, 10, 10, 30], rate: 1200, sidecars: 4 },
  "one 10 times as slow, little traffic": { needs: [10, 10, 10, 10, 100], rate: 100, sidecars: 4 },
  "one 10 times as slow, 50 sidecars that see little each": { needs: [10, 10, 10, 10, 100], rate: 2000, sidecars: 50 },
};

const ms = (value: number): string => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));

await runLong("slow-replica", async ({ short, seed, say }) => {
  const calls = short ? 60_000 : 200_000;
  const figures: Record<string, Record<string, Outcome>> = {};
  for (const [title, load] of Object.entries(cases)) {
    const found: Record<string, Outcome> = {};
    for (const name of CHOSEN) found[name] = simulate(balancers[name], { ...load, workers: 8, calls, seed });
    figures[title] = found;
    const rows = Object.entries(found).map(([name, { mean, p50, p99, shares }]) => [
      name,
      ms(mean),
      ms(p50),
      ms(p99),
      `${((shares.at(-1) ?? 0) * 100).toFixed(1)}%`,
    ]);
    say(
      `${title}: ${calls.toLocaleString("en")} calls, ${load.rate}/s\n${table(["balancer", "mean ms", "p50 ms", "p99 ms", "calls to the last"], rows)}`,
    );
  }
  const p99 = (title: string, name: string): number => figures[title]?.[name]?.p99 ?? Number.NaN;
  const [alike, overloaded, slow, quiet, many] = Object.keys(cases);
  for (const name of ["leastRequest", "peakEwma"]) {
    assert.ok(
      p99(alike ?? "", name) <= p99(alike ?? "", "roundRobin") * 1.1,
      `${name} costs nothing where all are alike`,
    );
    for (const title of [overloaded ?? "", many ?? ""])
      assert.ok(p99(title, name) * 10 < p99(title, "roundRobin"), `${title}: ${name} does not pile calls up`);
    assert.ok(p99(slow ?? "", name) < p99(slow ?? "", "roundRobin"), `${slow}: ${name}`);
  }
  // Where hardly anything is in flight its number says nothing, and latency does.
  assert.ok(p99(quiet ?? "", "peakEwma") < p99(quiet ?? "", "leastRequest") / 2, `${quiet}`);
  const brief = (value: number): number => Number(value.toPrecision(3));
  const rounded = Object.entries(figures).map(([title, found]) => [
    title,
    Object.fromEntries(
      Object.entries(found).map(([name, { mean, p50, p99: high, shares }]) => [
        name,
        { mean: brief(mean), p50: brief(p50), p99: brief(high), last: brief(shares.at(-1) ?? 0) },
      ]),
    ),
  ]);
  return { calls, milliseconds: Object.fromEntries(rounded) };
});

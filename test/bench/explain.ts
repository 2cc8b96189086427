/**
 * What recording the decisions about every call costs while nobody asks for them: the engine's bench with and without, round
 * about, so that what else the machine does falls on both.
 *
 *   node test/bench/explain.ts [--limits]
 *
 * With `--limits` the call passes two limits of calls under way, a rate limit and a circuit breaker, each of which is recorded.
 */
import { Decisions } from "../../src/observability/explain/decisions.ts";
import { repeated, varying } from "./engine/metadata.ts";
import { proxied } from "./engine/world.ts";

const BATCH = 100;
const BATCHES = 50;
const ROUNDS = 60;

const { prototype } = Decisions;
const recording = Object.getOwnPropertyDescriptor(prototype, "begin") ?? {};
const silence = { ...recording, value: () => {} };
const LIMITS = [
  { rateLimits: [{ name: "rate", direction: "outbound", key: ["upstream"], limit: "10000000/s" }] },
  { limits: { maxConcurrent: 1000 }, adaptiveConcurrency: { initial: 900 }, circuitBreaker: {} },
] as const;
const world = process.argv.includes("--limits") ? proxied(...LIMITS) : proxied();

async function round(record: boolean, lists: readonly ReturnType<typeof repeated>[]): Promise<number> {
  Object.defineProperty(prototype, "begin", record ? recording : silence);
  const begun = process.cpuUsage();
  for (const list of lists) await world.calls(list);
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / (BATCH * BATCHES);
}

for (const kind of ["repeated", "varying"] as const) {
  const costs: Record<"with" | "without", number[]> = { with: [], without: [] };
  for (let at = 0; at < ROUNDS * 2; at++) {
    const lists = Array.from({ length: BATCHES }, (_, list) =>
      kind === "repeated" ? repeated(BATCH) : varying(BATCH, at * BATCHES + list),
    );
    const record = at % 2 === 0;
    costs[record ? "with" : "without"].push(await round(record, lists));
  }
  const low = (values: readonly number[]): number => Math.min(...values);
  const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
  const [lowest, median] = [low, middle].map((of) => [of(costs.with), of(costs.without)] as const);
  for (const [name, pair] of Object.entries({ lowest, median })) {
    const [recorded = 0, not = 0] = pair ?? [];
    process.stdout.write(
      `${kind.padEnd(10)}${name.padEnd(8)}recorded ${recorded.toFixed(2)}  not ${not.toFixed(2)}  difference ${(recorded - not).toFixed(2)} µs a call\n`,
    );
  }
}
process.exit(0);

/**
 * What a circuit breaker costs on the path of a call: the leave to pass and the outcome, opossum being fed in batches.
 *
 *   node test/bench/breaker.ts    nanoseconds an attempt, the best of many rounds
 */
import { systemClock } from "../../src/core/clock.ts";
import { AttemptPermit } from "../../src/proxy/attempt-permit.ts";
import { Breakers } from "../../src/proxy/breakers.ts";

const CALLS = 100_000;
const ROUNDS = 40;
const METHODS = Array.from({ length: 20 }, (_, at) => `/bench.v1.Bench/Method${at}`);

function measure(scope: "upstream" | "method", failing: number): number {
  const options = {
    failureRate: 1,
    window: 10_000,
    minimumRequests: 20,
    openFor: 5_000,
    slow: { call: 1_000, rate: 0.5 },
    scope,
    statuses: new Set([14]),
    status: undefined,
  };
  const breakers = new Breakers(options, systemClock, () => () => {});
  let lowest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    for (let at = 0; at < CALLS; at++) {
      const permit = new AttemptPermit(breakers, METHODS[at % METHODS.length] ?? "", at);
      if (permit.refusal("bench") !== undefined) throw new Error("the breaker is open");
      permit.answering(at + 1);
      permit.settle(failing > 0 && at % failing === 0 ? 14 : 0, undefined, at + 1);
    }
    lowest = Math.min(lowest, ((performance.now() - begun) * 1e6) / CALLS);
  }
  breakers.close();
  return lowest;
}

for (const [name, scope, failing] of [
  ["one for the upstream, none fails", "upstream", 0],
  ["one for the upstream, every tenth fails", "upstream", 10],
  ["one for each of 20 methods, none fails", "method", 0],
] as const)
  process.stdout.write(`${name.padEnd(44)}${measure(scope, failing).toFixed(0).padStart(6)} ns an attempt\n`);

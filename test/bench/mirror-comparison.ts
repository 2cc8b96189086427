/**
 * What comparing the answer of a copy costs, both answers together: two heads, a message and trailers each, and the verdict.
 *
 *   node test/bench/mirror-comparison.ts    nanoseconds a compared call, the best of many rounds
 */
import pino from "pino";
import { systemClock } from "../../src/core/clock.ts";
import { SparingLog } from "../../src/core/sparing-log.ts";
import type { Outcome } from "../../src/http/call.ts";
import { type Compared, MirrorComparison } from "../../src/proxy/mirror-comparison.ts";
import { makeCall, table } from "../filters/make-call.ts";

const CALLS = 20_000;
const ROUNDS = 30;

const call = makeCall();
const head = table.head([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const trailers = table.head([["grpc-status", "0"]]);
const outcome: Outcome = { status: 0, reason: undefined, origin: "app", detail: undefined };
const differences = new SparingLog(pino({ level: "silent" }), "info", "", systemClock);

function measure(by: Compared, octets: number): number {
  const counts = { same: 0, status: 0, length: 0, messages: 0, metadata: 0, incomplete: 0 };
  const options = { by, ignore: new Set<string>(), counts, route: "copy", to: "shadow", differences, idOf: () => "" };
  const body = Buffer.alloc(octets, "message");
  let lowest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    for (let at = 0; at < CALLS; at++) {
      const comparison = new MirrorComparison(call, options);
      for (const side of ["original", "copy"] as const) {
        comparison.head(side, head);
        comparison.data(side, body, 0, octets);
        comparison.head(side, trailers);
        comparison.end(side, outcome);
      }
    }
    lowest = Math.min(lowest, ((performance.now() - begun) * 1e6) / CALLS);
  }
  if (counts.same !== CALLS * ROUNDS) throw new Error("the answers are the same");
  return lowest;
}

for (const octets of [40, 1_000, 16_384])
  for (const by of ["status", "messages", "metadata"] as const)
    process.stdout.write(
      `${by.padEnd(10)}${String(octets).padStart(6)} octets${measure(by, octets).toFixed(0).padStart(7)} ns a compared call\n`,
    );

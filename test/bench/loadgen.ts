import { z } from "zod";
import { runProcess } from "../support/process.ts";
import type { Case } from "./cases.ts";
import type { Sample } from "./sample.ts";
import type { Target } from "./target.ts";

/** What `load/loadgen` prints. */
const Printed = z.object({
  calls: z.number(),
  callsPerSecond: z.number(),
  bytes: z.number(),
  seconds: z.number(),
  cpuSeconds: z.number(),
  meanUs: z.number(),
  p50Us: z.number(),
  p99Us: z.number(),
  lateP99Us: z.number(),
  failures: z.number(),
  failureKinds: z.record(z.string(), z.number()),
});

/** Runs a case with our own generator: each call is one write, every answer is checked byte by byte. */
export async function runLoadgen(program: string, load: Case, target: Target): Promise<Sample> {
  const args = [
    ...["-target", `127.0.0.1:${target.port}`, "-authority", "echo"],
    ...["-warmup", `${target.warmup}s`, "-duration", `${target.seconds}s`, "-cpu-of", target.pids.join(",")],
    ...loadArguments(load),
  ];
  const run = await runProcess("taskset", ["-c", String(target.core), program, ...args], {
    timeout: (target.warmup + target.seconds + 240) * 1_000,
  });
  if (run.code !== 0) throw new Error(`loadgen ${args.join(" ")}: ${run.stderr}`);
  const printed = Printed.parse(JSON.parse(run.stdout));
  return {
    ...printed,
    cpuSeconds: target.pids.length === 0 ? undefined : printed.cpuSeconds,
    failures: printed.failureKinds,
  };
}

function loadArguments(load: Case): string[] {
  switch (load.kind) {
    case "closed":
      return [
        ...["-connections", String(load.connections), "-streams", String(load.streams)],
        ...["-size", String(load.size), "-metadata", load.metadata],
      ];
    case "rate":
      return [
        ...["-connections", String(load.connections), "-rate", String(load.rate)],
        ...["-size", String(load.size), "-metadata", "varying"],
      ];
    case "download":
      return ["-connections", "1", "-download", String(load.size)];
  }
}

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProcess } from "../support/process.ts";
import { requirePart } from "../support/real-parts.ts";
import type { ClosedCase } from "./cases.ts";
import { cpuSeconds } from "./process-figures.ts";
import type { Sample } from "./sample.ts";
import { grpcMessage } from "./sample-call.ts";
import type { Target } from "./target.ts";

/** What h2load's summary says. Times in microseconds. */
export interface H2loadSummary {
  readonly seconds: number;
  readonly succeeded: number;
  /** Requests that failed, errored or timed out. */
  readonly failed: number;
  /** Bytes of DATA, without frame headers. */
  readonly dataBytes: number;
  readonly meanUs: number;
}

const UNITS: Readonly<Record<string, number>> = { us: 1e-6, ms: 1e-3, s: 1 };

/** Calls that find out how many the measured run can make. */
const PROBE_CALLS = 5_000;
const MOST_CALLS = 1_000_000;

/**
 * Runs a case with h2load: first a short run, which warms up and says how many calls fill the measured time, then exactly that many.
 * h2load checks the HTTP status only, so the bytes of the answers are counted too: a refusal in the trailers has none.
 */
export async function runH2load(load: ClosedCase, target: Target, folder: string): Promise<Sample> {
  const message = grpcMessage(load.size);
  const body = join(folder, `message-${load.size}`);
  writeFileSync(body, message);
  const run = (calls: number) => h2load(load, target, body, calls);

  const probe = await run(PROBE_CALLS);
  const calls = Math.round(Math.min(MOST_CALLS, Math.max(PROBE_CALLS, (PROBE_CALLS / probe.seconds) * target.seconds)));
  const before = cpuSeconds(target.pids);
  const summary = await run(calls);
  const used = cpuSeconds(target.pids) - before;

  const missing = calls * message.length - summary.dataBytes;
  return {
    calls: summary.succeeded,
    callsPerSecond: summary.succeeded / summary.seconds,
    cpuSeconds: target.pids.length === 0 ? undefined : used,
    seconds: summary.seconds,
    bytes: summary.dataBytes,
    meanUs: summary.meanUs,
    p50Us: undefined,
    p99Us: undefined,
    failures: {
      ...(summary.failed > 0 ? { "failed, errored or timed out": summary.failed } : {}),
      ...(missing !== 0 ? { "answers of another length": Math.ceil(Math.abs(missing) / message.length) } : {}),
    },
  };
}

async function h2load(load: ClosedCase, target: Target, body: string, calls: number): Promise<H2loadSummary> {
  const headers = [":authority: echo", "content-type: application/grpc", "te: trailers"].flatMap((field) => [
    "-H",
    field,
  ]);
  const args = [
    ...["-n", String(calls), "-c", String(load.connections), "-m", String(load.streams), "-t", "1", "-d", body],
    ...headers,
    `http://127.0.0.1:${target.port}/bench.Echo/Unary`,
  ];
  const run = await runProcess("taskset", ["-c", String(target.core), requirePart("h2load"), ...args], {
    timeout: 240_000,
  });
  if (run.code !== 0) throw new Error(`h2load ${args.join(" ")}: ${run.stdout}${run.stderr}`);
  return parseH2load(run.stdout);
}

/** Reads h2load's summary; throws where it has another form. */
export function parseH2load(text: string): H2loadSummary {
  const find = (pattern: RegExp): string[] => {
    const found = pattern.exec(text);
    if (!found) throw new Error(`h2load printed no ${pattern}: ${text}`);
    return found.slice(1);
  };
  const [took = ""] = find(/finished in ([\d.]+\w+),/);
  const [succeeded, failed, errored, timeout] = find(
    /requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/,
  ).map(Number);
  const [dataBytes] = find(/traffic: .*\((\d+)\) data/).map(Number);
  const [mean = ""] = find(/time for request: +\S+ +\S+ +(\S+)/);
  return {
    seconds: seconds(took),
    succeeded: succeeded ?? 0,
    failed: (failed ?? 0) + (errored ?? 0) + (timeout ?? 0),
    dataBytes: dataBytes ?? 0,
    meanUs: seconds(mean) * 1e6,
  };
}

function seconds(text: string): number {
  const [, value, unit = ""] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (value === undefined || factor === undefined) throw new Error(`h2load printed the time "${text}"`);
  return Number(value) * factor;
}

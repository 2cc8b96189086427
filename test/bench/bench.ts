// `npm run bench`: compares Outrigger with its peers in one interleaved and pinned run. `--help` lists the options. A figure of time or
// memory never makes it fail, only a call through Outrigger that was not answered as it had to be.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runProcess } from "../support/process.ts";
import { realPart, requirePart } from "../support/real-parts.ts";
import { type Bar, evaluateBars } from "./bars.ts";
import { allCases, type Case } from "./cases.ts";
import { describeEnvironment } from "./environment.ts";
import { buildLoadPrograms } from "./load-programs.ts";
import { findPeer } from "./measurement.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { direct } from "./peers/direct.ts";
import { envoy } from "./peers/envoy.ts";
import { haproxy } from "./peers/haproxy.ts";
import { nghttpx } from "./peers/nghttpx.ts";
import { outrigger, outriggerExists, packOutrigger } from "./peers/outrigger.ts";
import type { Peer } from "./peers/peer.ts";
import { versionOf } from "./peers/version.ts";
import { MachineLoad } from "./process-figures.ts";
import { profileCase, type SelfTime } from "./profile.ts";
import { type BenchRun, renderReport } from "./report.ts";
import { LOAD_CORE, measure, type RoundOptions } from "./rounds.ts";
import { withScratchFolder } from "./scratch-folder.ts";

const RESULTS = join(import.meta.dirname, "..", "results");
const WARMUP_SECONDS = 0.5;
/** Profiles are for reading: the worst cases, not each. */
const MOST_PROFILES = 4;

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), RESULTS);
  if (options === "help") {
    process.stdout.write(USAGE);
    return 0;
  }
  const cases = allCases(options.downloadSize).filter(
    ({ id }) => options.cases?.some((part) => id.includes(part)) ?? true,
  );
  if (cases.length === 0) throw new Error("no case has such a name");

  const load = new MachineLoad();
  await sleep(1_000);
  const environment = await describeEnvironment(
    load.busy(),
    await versionOf(requirePart("h2load"), ["--version"], /nghttp2\/(\S+)/),
  );
  const programs = await buildLoadPrograms();
  await runProcess("taskset", ["-a", "-p", "-c", String(LOAD_CORE), String(process.pid)]);

  return withScratchFolder(async (packed) => {
    const bin = wants(options, "outrigger") && outriggerExists() ? await packOutrigger(packed) : undefined;
    const peers = await choosePeers(options, bin);
    const rounds = {
      rounds: options.rounds,
      seconds: options.seconds,
      warmup: WARMUP_SECONDS,
      programs,
      progress: say,
    };
    const measurement = await measure(peers, cases, rounds);
    const bars = evaluateBars(measurement);
    const profiles = options.profile && bin !== undefined ? await profileMissed(bars, cases, bin, rounds) : new Map();

    publish(
      { environment, rounds: options.rounds, seconds: options.seconds, measurement, bars, profiles },
      options.out,
    );
    const own = [...(findPeer(measurement, "outrigger")?.samples.values() ?? [])].flat();
    return own.some(({ failures }) => Object.keys(failures).length > 0) ? 1 : 0;
  });
}

function wants(options: BenchOptions, name: string): boolean {
  return options.peers?.includes(name) ?? true;
}

/** The peers that were asked for; where none was named, those that are there. */
async function choosePeers(options: BenchOptions, bin: string | undefined): Promise<Peer[]> {
  const table: Readonly<Record<string, { there: boolean; make: () => Promise<Peer> }>> = {
    direct: { there: true, make: async () => direct },
    envoy: { there: realPart("envoy") !== undefined, make: envoy },
    haproxy: { there: realPart("haproxy") !== undefined, make: haproxy },
    nghttpx: { there: realPart("nghttpx") !== undefined, make: nghttpx },
    outrigger: {
      there: bin !== undefined,
      make: async () => {
        if (bin === undefined) throw new Error("there is no src/main.ts to measure");
        return outrigger(bin, { node: process.execPath, nodeOptions: [] });
      },
    },
  };
  const unknown = options.peers?.find((name) => !Object.hasOwn(table, name));
  if (unknown !== undefined)
    throw new Error(`no peer is called "${unknown}"; there are ${Object.keys(table).join(", ")}`);

  const chosen: Peer[] = [];
  for (const [name, { there, make }] of Object.entries(table)) {
    if (!wants(options, name)) continue;
    if (there || options.peers !== undefined) chosen.push(await make());
    else say(`${name} is not there and not measured`);
  }
  for (const node of options.nodes) {
    if (bin === undefined) throw new Error("there is no src/main.ts to measure on another Node");
    chosen.push(await outrigger(bin, { node, nodeOptions: [], named: true }));
  }
  return chosen;
}

async function profileMissed(
  bars: readonly Bar[],
  cases: readonly Case[],
  bin: string,
  rounds: RoundOptions,
): Promise<Map<string, SelfTime[]>> {
  const profiles = new Map<string, SelfTime[]>();
  const missed = bars
    .filter((bar) => !bar.met && bar.caseId !== undefined)
    .toSorted((a, b) => b.ratio / b.limit - a.ratio / a.limit);
  for (const { caseId } of missed.slice(0, MOST_PROFILES)) {
    const load = cases.find(({ id }) => id === caseId);
    if (!load) continue;
    say(`profiling ${load.id}`);
    profiles.set(load.id, await profileCase(bin, process.execPath, load, rounds));
  }
  return profiles;
}

function publish(run: BenchRun, out: string | undefined): void {
  const report = renderReport(run);
  process.stdout.write(report);
  if (out === undefined) return;
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "bench.md"), report);
  const plain = (_key: string, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value);
  writeFileSync(join(out, "bench.json"), `${JSON.stringify(run, plain, 1)}\n`);
}

// Ending here lets the process support kill what was started.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

try {
  process.exitCode = await main();
} catch (error) {
  say(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

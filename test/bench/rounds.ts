import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Case, warmUpCases } from "./cases.ts";
import { runH2load } from "./h2load.ts";
import type { LoadPrograms } from "./load-programs.ts";
import { runLoadgen } from "./loadgen.ts";
import type { MeasuredPeer, Measurement, ProcessFigures } from "./measurement.ts";
import type { Peer, RunningPeer } from "./peers/peer.ts";
import { startPinned } from "./peers/pinned.ts";
import { processTree, residentMemory } from "./process-figures.ts";
import type { Sample } from "./sample.ts";
import { sampleCall } from "./sample-call.ts";
import { withScratchFolder } from "./scratch-folder.ts";
import { rotate } from "./statistics.ts";

/** The proxy has a processor of its own; the generator, the upstream and the bench share the other. */
export const PROXY_CORE = 0;
export const LOAD_CORE = 1;

/** A peer that does not answer within this time has failed. */
const READY_LIMIT_MS = 15_000;
const READY_POLL_MS = 2;
/** Of each of the cases that come before the first. */
const WARM_UP_SECONDS = 2;
/** From ready to the reading of the idle memory. */
const SETTLE_MS = 1_000;

export interface RoundOptions {
  readonly rounds: number;
  /** Of each case's measured window, and of the load before it. */
  readonly seconds: number;
  readonly warmup: number;
  readonly programs: LoadPrograms;
  /** Told what has just been measured. */
  readonly progress: (line: string) => void;
}

interface Started {
  readonly peer: Peer;
  readonly running: RunningPeer;
  readonly pids: readonly number[];
  readonly readyMs: number;
  readonly idleMB: number;
}

interface Collected {
  readonly peer: Peer;
  readonly processes: ProcessFigures[];
  readonly samples: Map<string, Sample[]>;
}

/**
 * Measures every case on every peer, round by round. In a round all peers are started, one after the other, and each case runs on each of
 * them in turn, so that what is compared was measured within the same seconds; the order rotates from case to case and round to round.
 */
export async function measure(
  peers: readonly Peer[],
  cases: readonly Case[],
  options: RoundOptions,
): Promise<Measurement> {
  const collected = peers.map((peer): Collected => ({ peer, processes: [], samples: new Map() }));
  for (let round = 0; round < options.rounds; round++) {
    options.progress(`round ${round + 1} of ${options.rounds}`);
    await withUpstream(options.programs, async (upstreamPort, folder) => {
      const started = new Map<Peer, Started>();
      try {
        for (const peer of rotate(peers, round)) started.set(peer, await start(peer, upstreamPort, folder));
        for (const proxy of started.values()) await warmUp(proxy, options, folder);
        for (const [index, load] of cases.entries()) {
          for (const { peer, samples } of rotate(collected, round + index)) {
            const proxy = started.get(peer);
            if (!proxy) continue;
            const sample = await runCase(load, proxy, options, folder);
            samples.set(load.id, [...(samples.get(load.id) ?? []), sample]);
            options.progress(describe(load, peer, sample));
          }
        }
        for (const { peer, processes } of collected) {
          const proxy = started.get(peer);
          if (!proxy || proxy.pids.length === 0) continue;
          processes.push({ readyMs: proxy.readyMs, idleMB: proxy.idleMB, afterMB: residentMemory(proxy.pids) });
        }
      } finally {
        for (const { running } of started.values()) await running.stop();
      }
    });
  }
  return {
    cases,
    peers: collected.map(
      ({ peer, processes, samples }): MeasuredPeer => ({
        name: peer.name,
        description: peer.description,
        processes,
        samples,
      }),
    ),
  };
}

/** Runs one case on a peer that is started for it alone. */
export async function measureAlone(peer: Peer, load: Case, options: RoundOptions): Promise<Sample> {
  return withUpstream(options.programs, async (upstreamPort, folder) => {
    const started = await start(peer, upstreamPort, folder);
    try {
      return await runCase(load, started, options, folder);
    } finally {
      await started.running.stop();
    }
  });
}

function withUpstream<T>(
  programs: LoadPrograms,
  body: (upstreamPort: number, folder: string) => Promise<T>,
): Promise<T> {
  return withScratchFolder(async (folder) => {
    const upstream = await startPinned(LOAD_CORE, programs.upstream, []);
    try {
      const [, port] = await upstream.line(/^listening .*:(\d+)$/);
      // The first call of this process loads its HTTP/2 client, which is not to count as anybody's time to get ready.
      const broken = await sampleCall(Number(port), 100);
      if (broken !== undefined) throw new Error(`the upstream does not answer: ${broken}`);
      return await body(Number(port), folder);
    } finally {
      await upstream.stop();
    }
  });
}

async function start(peer: Peer, upstreamPort: number, parent: string): Promise<Started> {
  const folder = join(parent, peer.name);
  mkdirSync(folder, { recursive: true });
  const begun = performance.now();
  const running = await peer.start({ upstreamPort, folder, core: PROXY_CORE });
  try {
    for (;;) {
      const broken = await sampleCall(running.port, 100);
      const readyMs = performance.now() - begun;
      if (broken === undefined) {
        await sleep(SETTLE_MS);
        const pids = running.pid === undefined ? [] : processTree(running.pid);
        return { peer, running, pids, readyMs, idleMB: residentMemory(pids) };
      }
      if (readyMs > READY_LIMIT_MS) throw new Error(`${peer.name} does not answer: ${broken}\n${running.output()}`);
      await sleep(READY_POLL_MS);
    }
  } catch (error) {
    await running.stop();
    throw error;
  }
}

/** Has a proxy carry calls that nobody counts. */
async function warmUp(proxy: Started, options: RoundOptions, folder: string): Promise<void> {
  if (proxy.pids.length === 0) return;
  for (const load of warmUpCases)
    await runCase(load, proxy, { ...options, warmup: 0, seconds: WARM_UP_SECONDS }, folder);
}

async function runCase(load: Case, proxy: Started, options: RoundOptions, folder: string): Promise<Sample> {
  const { port } = proxy.running;
  const { warmup, seconds } = options;
  const target = { port, pids: proxy.pids, core: LOAD_CORE, warmup, seconds };
  if (load.kind !== "closed" || load.generator === "loadgen") return runLoadgen(options.programs.loadgen, load, target);

  const sample = await runH2load(load, target, folder);
  const broken = await sampleCall(port, load.size);
  return broken === undefined ? sample : { ...sample, failures: { ...sample.failures, [`sample call: ${broken}`]: 1 } };
}

function describe(load: Case, peer: Peer, sample: Sample): string {
  const cpu =
    sample.cpuSeconds === undefined ? "" : ` ${((sample.cpuSeconds * 1e6) / sample.calls).toFixed(1)} µs CPU a call`;
  const failures = Object.entries(sample.failures).map(([kind, count]) => ` FAILED ${count}: ${kind}`);
  return `  ${load.id} ${peer.name}: ${Math.round(sample.callsPerSecond)}/s${cpu}${failures.join("")}`;
}

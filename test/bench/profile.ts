import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { z } from "zod";
import type { Case } from "./cases.ts";
import { outrigger } from "./peers/outrigger.ts";
import { measureAlone, type RoundOptions } from "./rounds.ts";

/** What V8's `--cpu-prof` writes, as far as it is read here. */
const CpuProfile = z.object({
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
    }),
  ),
  samples: z.array(z.number()),
  /** Microseconds before each sample. */
  timeDeltas: z.array(z.number()),
});

/** A function and the share of the busy time that was spent in itself. */
export interface SelfTime {
  readonly name: string;
  /** 0 to 1. */
  readonly share: number;
}

/** Profiles Outrigger under one case; a process of its own, so that nothing measured pays for the profiler. */
export async function profileCase(bin: string, node: string, load: Case, options: RoundOptions): Promise<SelfTime[]> {
  const folder = mkdtempSync(join(tmpdir(), "outrigger-profile-"));
  try {
    const nodeOptions = ["--cpu-prof", `--cpu-prof-dir=${folder}`];
    await measureAlone(await outrigger(bin, { node, nodeOptions }), load, options);
    const written = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"));
    const [name] = written;
    if (name === undefined) throw new Error("node wrote no profile; was it killed instead of drained?");
    return selfTimes(JSON.parse(readFileSync(join(folder, name), "utf8")));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The functions of a V8 CPU profile by the time spent in themselves, greatest first; idle time is left out. */
export function selfTimes(profile: unknown): SelfTime[] {
  const { nodes, samples, timeDeltas } = CpuProfile.parse(profile);
  const names = new Map(nodes.map(({ id, callFrame }) => [id, frameName(callFrame)]));
  const times = new Map<string, number>();
  let busy = 0;
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? "(unknown)";
    const time = timeDeltas[index + 1] ?? 0; // until the next sample
    if (name === "(idle)") continue;
    busy += time;
    times.set(name, (times.get(name) ?? 0) + time);
  }
  return [...times]
    .map(([name, time]) => ({ name, share: busy === 0 ? 0 : time / busy }))
    .toSorted((a, b) => b.share - a.share);
}

function frameName(frame: { functionName: string; url: string; lineNumber: number }): string {
  const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
  return frame.url === "" ? name : `${name} ${basename(frame.url)}:${frame.lineNumber + 1}`;
}

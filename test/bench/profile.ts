import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import type { Case } from "./cases.ts";
import { outrigger } from "./peers/outrigger.ts";
import { measureAlone, type RoundOptions } from "./rounds.ts";
import { withScratchFolder } from "./scratch-folder.ts";

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

/** What a function is: of the bundle, of Node's own JavaScript, native code and the kernel below it, or garbage collection. */
export type FrameKind = "Outrigger" | "Node's JavaScript" | "native and kernel" | "garbage collection";

/** A function and the share of the busy time that was spent in itself. */
export interface SelfTime {
  readonly name: string;
  readonly kind: FrameKind;
  /** 0 to 1. */
  readonly share: number;
}

/** Long enough that the start counts for little. */
const PROFILED_SECONDS = 5;

/** Profiles Outrigger under one case; a process of its own, so that nothing measured pays for the profiler. */
export async function profileCase(bin: string, node: string, load: Case, options: RoundOptions): Promise<SelfTime[]> {
  return withScratchFolder(async (folder) => {
    const nodeOptions = ["--cpu-prof", `--cpu-prof-dir=${folder}`];
    const peer = await outrigger(bin, { node, nodeOptions });
    await measureAlone(peer, load, { ...options, seconds: PROFILED_SECONDS });
    const name = readdirSync(folder).find((file) => file.endsWith(".cpuprofile"));
    if (name === undefined) throw new Error("node wrote no profile; was it killed instead of drained?");
    return selfTimes(JSON.parse(readFileSync(join(folder, name), "utf8")));
  });
}

/** The functions of a V8 CPU profile by the time spent in themselves, greatest first; idle time and `core/rest.ts` are left out. */
export function selfTimes(profile: unknown): SelfTime[] {
  const { nodes, samples, timeDeltas } = CpuProfile.parse(profile);
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, describe(callFrame)]));
  const times = new Map<string, { kind: FrameKind; time: number }>();
  let busy = 0;
  for (const [index, id] of samples.entries()) {
    const { name, kind } = frames.get(id) ?? { name: "(unknown)", kind: "native and kernel" };
    const time = timeDeltas[index + 1] ?? 0; // until the next sample
    if (name === "(idle)" || (kind === "Outrigger" && name.startsWith("rest "))) continue;
    busy += time;
    times.set(name, { kind, time: (times.get(name)?.time ?? 0) + time });
  }
  return [...times]
    .map(([name, { kind, time }]) => ({ name, kind, share: busy === 0 ? 0 : time / busy }))
    .toSorted((a, b) => b.share - a.share);
}

/** The busy time by what it was spent in, greatest first. */
export function sharesByKind(functions: readonly SelfTime[]): { kind: FrameKind; share: number }[] {
  const shares = new Map<FrameKind, number>();
  for (const { kind, share } of functions) shares.set(kind, (shares.get(kind) ?? 0) + share);
  return [...shares].map(([kind, share]) => ({ kind, share })).toSorted((a, b) => b.share - a.share);
}

function describe(frame: { functionName: string; url: string; lineNumber: number }): { name: string; kind: FrameKind } {
  const plain = frame.functionName === "" ? "(anonymous)" : frame.functionName;
  const name = frame.url === "" ? plain : `${plain} ${basename(frame.url)}:${frame.lineNumber + 1}`;
  if (plain === "(garbage collector)") return { name, kind: "garbage collection" };
  if (frame.url === "") return { name, kind: "native and kernel" };
  return { name, kind: frame.url.startsWith("node:") ? "Node's JavaScript" : "Outrigger" };
}

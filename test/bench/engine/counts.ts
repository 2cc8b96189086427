import { Session } from "node:inspector/promises";
import { fileURLToPath } from "node:url";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { traffic } from "./direct-socket.ts";
import { repeated, varying } from "./metadata.ts";
import { direct, proxied, type World } from "./world.ts";

/** What a call costs in operations, which do not depend on the machine or on what else it does. */
export interface Counts {
  /** Calls of functions of src/. */
  readonly functions: number;
  /** Octets allocated on the JavaScript heap, by code that was not optimised. */
  readonly allocated: number;
  /** Octets that all connections on the way have written. */
  readonly octets: number;
  /** Writes to transports of a hundred calls that are made at once. */
  readonly writes: number;
}

export type CountsByCase = Readonly<Record<string, Counts>>;

const BATCH = 100;
const BATCHES = 40;
const WARM = 20;
const SOURCES = fileURLToPath(new URL("../../../src/", import.meta.url));

/** Counts the operations of calls of every kind, in a process that does nothing else. */
export async function countOperations(): Promise<CountsByCase> {
  // What optimised code allocates is a matter of when it was optimised.
  setFlagsFromString("--no-opt");
  setFlagsFromString("--no-maglev");
  return {
    "direct, repeated": await count(direct(), () => repeated(BATCH)),
    "proxied, repeated": await count(proxied(), () => repeated(BATCH)),
    "direct, varying": await count(direct(), (batch) => varying(BATCH, batch)),
    "proxied, varying": await count(proxied(), (batch) => varying(BATCH, batch)),
  };
}

async function count(world: World, metadata: (batch: number) => ReturnType<typeof repeated>): Promise<Counts> {
  let made = 0;
  const batches = (): ReturnType<typeof repeated>[] => Array.from({ length: BATCHES }, () => metadata(++made));
  for (let batch = 0; batch < WARM; batch++) await world.calls(metadata(++made));
  const calls = BATCH * BATCHES;

  let lists = batches();
  const before = { ...traffic, allocated: getHeapStatistics().total_allocated_bytes ?? Number.NaN };
  for (const list of lists) await world.calls(list);
  const allocated = (getHeapStatistics().total_allocated_bytes ?? Number.NaN) - before.allocated;
  const { octets, writes } = traffic;

  lists = batches();
  const functions = await functionCalls(async () => {
    for (const list of lists) await world.calls(list);
  });
  return {
    functions: round(functions / calls),
    allocated: Math.round(allocated / calls),
    octets: round((octets - before.octets) / calls),
    writes: round((writes - before.writes) / BATCHES),
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** How often functions of src/ are called by a task. */
async function functionCalls(task: () => Promise<void>): Promise<number> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false });
    await session.post("Profiler.takePreciseCoverage");
    await task();
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const scripts = result.filter(({ url }) => url.startsWith("file:") && fileURLToPath(url).startsWith(SOURCES));
    return scripts.flatMap(({ functions }) => functions).reduce((sum, { ranges }) => sum + (ranges[0]?.count ?? 0), 0);
  } finally {
    await session.post("Profiler.stopPreciseCoverage");
    session.disconnect();
  }
}

import { findPeer, type Measurement, type ProcessFigures } from "./measurement.ts";
import { cpuPerCall } from "./sample.ts";
import { spread } from "./statistics.ts";

/** A figure that Outrigger is held to, and what it was. */
export interface Bar {
  /** "CPU a call, loadgen-varying-100B-10x10". */
  readonly name: string;
  /** The id of the case that it is about; undefined where it is about the process. */
  readonly caseId: string | undefined;
  readonly outrigger: number;
  /** What it is compared with: Envoy's figure, or a plain limit. */
  readonly reference: number;
  /** The greatest ratio of the two that meets the bar. */
  readonly limit: number;
  readonly ratio: number;
  readonly met: boolean;
}

/** At most half of sidecar-like Envoy's CPU a call. */
const CPU_LIMIT = 0.5;
/** At most one and a half times its resident memory. */
const MEMORY_LIMIT = 1.5;
const READY_LIMIT_MS = 1_000;

/** Every bar for which both sides were measured: the unary cases of both generators, memory, and the start. */
export function evaluateBars(measurement: Measurement): Bar[] {
  const own = findPeer(measurement, "outrigger");
  const envoy = findPeer(measurement, "envoy");
  if (!own) return [];

  const bars: (Bar | undefined)[] = [];
  for (const load of measurement.cases) {
    if (load.kind !== "closed") continue;
    const figure = (peer: typeof envoy) =>
      spread((peer?.samples.get(load.id) ?? []).map(cpuPerCall).filter((value) => value !== undefined))?.median;
    bars.push(bar(`CPU a call, ${load.id}`, load.id, figure(own), figure(envoy), CPU_LIMIT));
  }
  const inProcess = (peer: typeof envoy, figure: (process: ProcessFigures) => number) =>
    spread((peer?.processes ?? []).map(figure))?.median;
  const idle = ({ idleMB }: ProcessFigures) => idleMB;
  const after = ({ afterMB }: ProcessFigures) => afterMB;
  bars.push(
    bar("resident memory, idle", undefined, inProcess(own, idle), inProcess(envoy, idle), MEMORY_LIMIT),
    bar("resident memory, after", undefined, inProcess(own, after), inProcess(envoy, after), MEMORY_LIMIT),
    bar(
      "start to ready",
      undefined,
      inProcess(own, ({ readyMs }) => readyMs),
      READY_LIMIT_MS,
      1,
    ),
  );
  return bars.filter((each) => each !== undefined);
}

function bar(
  name: string,
  caseId: string | undefined,
  outrigger: number | undefined,
  reference: number | undefined,
  limit: number,
): Bar | undefined {
  if (outrigger === undefined || reference === undefined || reference === 0) return undefined;
  const ratio = outrigger / reference;
  return { name, caseId, outrigger, reference, limit, ratio, met: ratio <= limit };
}

import type { Case } from "./cases.ts";
import { findPeer, type MeasuredPeer, type Measurement, type ProcessFigures } from "./measurement.ts";
import { cpuPerCall } from "./sample.ts";
import { type Spread, spread } from "./statistics.ts";

/** A figure that Outrigger is held to, and what it was. */
export interface Bar {
  /** "CPU a call, loadgen-varying-100B-10x10". */
  readonly name: string;
  /** The id of the case that it is about; undefined where it is about the process. */
  readonly caseId: string | undefined;
  /** The median. */
  readonly outrigger: number;
  /** What it is compared with: Envoy's median, or a plain limit. */
  readonly reference: number;
  /** The greatest ratio of the two that meets the bar. */
  readonly limit: number;
  readonly ratio: number;
  /** The ratio in each round by itself: how far one can trust it. */
  readonly ratios: Spread;
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

  const unary = measurement.cases
    .filter(({ kind }) => kind === "closed")
    .map(({ id }) => compare(`CPU a call, ${id}`, id, cpuOf(own, id), cpuOf(envoy, id), CPU_LIMIT));
  const idle = ({ idleMB }: ProcessFigures) => idleMB;
  const after = ({ afterMB }: ProcessFigures) => afterMB;
  const memory = [
    compare("resident memory, idle", undefined, figuresOf(own, idle), figuresOf(envoy, idle), MEMORY_LIMIT),
    compare("resident memory, after", undefined, figuresOf(own, after), figuresOf(envoy, after), MEMORY_LIMIT),
  ];
  const ready = figuresOf(own, ({ readyMs }) => readyMs);
  const limits = ready.map(() => READY_LIMIT_MS);
  return [...unary, ...memory, compare("start to ready", undefined, ready, limits, 1)].filter(
    (bar) => bar !== undefined,
  );
}

/** CPU microseconds a call in each round of a case. */
function cpuOf(peer: MeasuredPeer | undefined, id: Case["id"]): number[] {
  return (peer?.samples.get(id) ?? []).map(cpuPerCall).filter((value) => value !== undefined);
}

function figuresOf(peer: MeasuredPeer | undefined, figure: (figures: ProcessFigures) => number): number[] {
  return (peer?.processes ?? []).map(figure);
}

function compare(
  name: string,
  caseId: string | undefined,
  ours: readonly number[],
  theirs: readonly number[],
  limit: number,
): Bar | undefined {
  const outrigger = spread(ours)?.median;
  const reference = spread(theirs)?.median;
  const ratios = spread(ours.slice(0, theirs.length).map((value, round) => value / (theirs[round] ?? Number.NaN)));
  if (outrigger === undefined || reference === undefined || ratios === undefined) return undefined;
  const ratio = outrigger / reference;
  return { name, caseId, outrigger, reference, limit, ratio, ratios, met: ratio <= limit };
}

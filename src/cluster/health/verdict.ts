import { type Reason, Status } from "../../http/reason.ts";
import { statusOf } from "../../http/status-words.ts";
import type { AttemptReport } from "../attempt-report.ts";
import type { OutlierSettings } from "./settings.ts";

/** What an attempt says of its endpoint. */
export type Verdict = "good" | "bad" | "neutral";

/** The endpoint, or the way to it, is at fault. Refused connections are not here: they put it out without being counted. */
const AT_FAULT: ReadonlySet<Reason> = new Set(["UPSTREAM_LOST", "PROTOCOL", "REFUSED"]);
/** The answer has a status of its own, and that decides. */
const BY_STATUS: ReadonlySet<Reason> = new Set(["RST_STREAM", "NOT_GRPC"]);
/** Said by a sidecar that has too much to do, or is going: ejecting it would give its load to others in the same state. */
const BUSY: ReadonlySet<string> = new Set(["QUEUE_FULL", "CIRCUIT_OPEN", "DRAINING"]);
/**
 * Milliseconds that an endpoint must have had before its silence counts. A caller whose deadline is shorter says more of itself
 * than of the endpoint.
 */
const FAIR_TIME = 100;

/**
 * Judges by outcome, status and reason:
 * - an answer of the application is good unless its status counts; PERMISSION_DENIED, NOT_FOUND and their like never do, for a
 *   caller brings them about;
 * - DEADLINE_EXCEEDED said by the application is neither good nor bad unless it counts: it may be the caller's impatience;
 * - a deadline that passed without a word of the answer is bad where timeouts count;
 * - a cancel of the caller says nothing.
 */
export function judge(report: AttemptReport, settings: OutlierSettings): Verdict {
  const { outcome, reason, status } = report;
  if (outcome === "ok" && status === Status.OK) return "good";
  if (outcome === "cancelled") return "neutral";
  if (reason === undefined) return ofStatus(status, settings);
  if (report.trailers !== undefined) return BUSY.has(reason) ? "neutral" : ofStatus(status, settings);
  if (status === Status.DEADLINE_EXCEEDED) return ofSilence(report, settings);
  if (AT_FAULT.has(reason)) return "bad";
  return BY_STATUS.has(reason) && isCounted(status, settings) ? "bad" : "neutral";
}

function ofStatus(status: number | undefined, settings: OutlierSettings): Verdict {
  if (status === Status.OK) return "good";
  if (isCounted(status, settings)) return "bad";
  return status === Status.DEADLINE_EXCEEDED || status === Status.CANCELLED ? "neutral" : "good";
}

function ofSilence({ startedAt, answeredAt, endedAt }: AttemptReport, { timeouts }: OutlierSettings): Verdict {
  const silent = answeredAt === undefined && endedAt - startedAt >= FAIR_TIME;
  return silent && timeouts === "counted" ? "bad" : "neutral";
}

function isCounted(status: number | undefined, { statuses }: OutlierSettings): boolean {
  for (const word of statuses) if (statusOf(word) === status) return true;
  return false;
}

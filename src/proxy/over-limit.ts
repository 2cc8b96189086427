import type { Failure } from "../http/call.ts";
import { type Reason, Status } from "../http/reason.ts";
import { pushbackOf, type SaidFields } from "./retry/pushback.ts";

/** Reasons of sidecars that their application, or they themselves, have too many calls, or too little room for them. */
const LIMITS: ReadonlySet<Reason> = new Set(["RATE_LIMIT", "CONCURRENCY", "OVERLOAD"]);
/** RFC 9110 §10.2.3: seconds. The other form, a date, says too little of when by our clock. */
const SECONDS = /^[0-9]{1,9}$/;

/**
 * Milliseconds after which an endpoint wants to be asked again that answered that it has too many calls; 0 where it does not say
 * when; undefined where it did not answer so. `last`: the fields in which it says how the call ended.
 */
export function overLimitOf(
  status: number | undefined,
  reason: Reason | undefined,
  last: SaidFields | undefined,
): number | undefined {
  if (status === Status.OK || !isOverLimit(status, reason, last)) return undefined;
  const pushback = pushbackOf(last);
  if (typeof pushback === "number") return pushback;
  const after = last?.get("retry-after");
  return after !== undefined && SECONDS.test(after) ? Number(after) * 1000 : 0;
}

/** The same of a failure in place of an answer, which has the fields that the endpoint's sidecar said. */
export function overLimitOfFailure({ status, reason, fields }: Failure): number | undefined {
  return overLimitOf(status, reason, { get: (name) => fields?.find(([other]) => other === name)?.[1] });
}

function isOverLimit(status: number | undefined, reason: Reason | undefined, last: SaidFields | undefined): boolean {
  const byHttp = last?.get(":status") === "429";
  if (reason === undefined) return status === Status.RESOURCE_EXHAUSTED || byHttp;
  return LIMITS.has(reason) || (reason === "NOT_GRPC" && byHttp);
}

import type { Head } from "./headers.ts";

/** How a trace context is written: W3C Trace Context, B3 in one field, B3 in several. */
export type TraceFormat = "w3c" | "b3" | "b3multi";

/** What a request says of the trace that it is a part of. Ids are lower-case hexadecimal, 32 and 16 digits. */
export interface TraceContext {
  readonly format: TraceFormat;
  readonly traceId: string;
  readonly spanId: string;
  /** Whether whoever sent it records the trace; undefined where that is left to us (B3 only). */
  readonly sampled: boolean | undefined;
}

/** version 00 ends after the flags; a later one may go on after a dash (W3C Trace Context §3.2.4). */
const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const single = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/i;
const traceIdOfB3 = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i;
const spanIdOfB3 = /^[0-9a-f]{16}$/i;

/** The trace context of a request: W3C's where there are several, B3 otherwise. What is malformed is as if it were not there. */
export function traceContextOf(head: Head): TraceContext | undefined {
  const w3c = head.get("traceparent");
  const found = w3c === undefined ? undefined : parseTraceparent(w3c);
  if (found !== undefined) return found;
  const b3 = head.get("b3");
  if (b3 !== undefined) return parseSingle(b3);
  const traceId = head.get("x-b3-traceid");
  const spanId = head.get("x-b3-spanid");
  if (traceId === undefined || spanId === undefined || !traceIdOfB3.test(traceId) || !spanIdOfB3.test(spanId))
    return undefined;
  const sampled = head.get("x-b3-flags") === "1" ? "1" : head.get("x-b3-sampled");
  return context("b3multi", traceId, spanId, sampledOf(sampled));
}

function parseTraceparent(text: string): TraceContext | undefined {
  const match = traceparent.exec(text);
  if (match === null) return undefined;
  const [, version = "", traceId = "", spanId = "", flags = "", more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  return context("w3c", traceId, spanId, (Number.parseInt(flags, 16) & 1) === 1);
}

function parseSingle(text: string): TraceContext | undefined {
  const match = single.exec(text);
  if (match === null) return undefined;
  const [, traceId = "", spanId = "", sampled] = match;
  return context("b3", traceId, spanId, sampledOf(sampled));
}

/** `true` and `false` are what the first senders of B3 wrote; `d` asks for it to be recorded whatever else is said. */
function sampledOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  return text === "1" || text === "d" || text.toLowerCase() === "true";
}

/** Ids of zeros are invalid in both. */
function context(format: TraceFormat, traceId: string, spanId: string, sampled: boolean | undefined) {
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { format, traceId: traceId.toLowerCase().padStart(32, "0"), spanId: spanId.toLowerCase(), sampled };
}

/** The fields that say a context, in its format. */
export function traceFields({ format, traceId, spanId, sampled }: TraceContext): (readonly [string, string])[] {
  const flag = sampled === true ? "1" : "0";
  switch (format) {
    case "w3c":
      return [["traceparent", `00-${traceId}-${spanId}-0${flag}`]];
    case "b3":
      return [["b3", `${traceId}-${spanId}-${flag}`]];
    case "b3multi":
      return [
        ["x-b3-traceid", traceId],
        ["x-b3-spanid", spanId],
        ["x-b3-sampled", flag],
      ];
  }
}

/** A call as a part of a trace. */
export interface CallTrace {
  readonly format: TraceFormat;
  readonly traceId: string;
  /** The span that the caller is in; undefined where the trace begins here. */
  readonly parentId: string | undefined;
  /** Its spans are exported. Where not, a context that came is passed on untouched. */
  readonly sampled: boolean;
  /** The ids of its spans, given before there are any: of the server's span inbound, of each attempt outbound. */
  readonly spanIds: string[];
}

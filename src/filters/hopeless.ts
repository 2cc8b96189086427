import { type Call, failure } from "../http/call.ts";
import { LONGEST_METHOD } from "../http/call-match.ts";
import type { Filter } from "./filter.ts";

/** Milliseconds after which what was seen before is forgotten; half of it at a time. */
const MEMORY = 20_000;
/** Answers below which a method's fastest says nothing yet. */
const ENOUGH = 20;
/** Methods that are followed. */
const MAX_METHODS = 500;

interface Fastest {
  /** Of this half of the window and of the one before, in milliseconds. */
  now: number;
  before: number;
  count: number;
  since: number;
}

/**
 * Refuses calls that cannot be answered before their deadline: no call of the method was answered as fast as this one would have to
 * be, of those of the last 10 to 20 seconds. Whoever refuses such a call at once spares the upstream work that nobody waits for.
 */
export class HopelessCalls {
  /** Whether any are refused: `deadlines.refuseHopeless`. */
  enabled = false;
  refused = 0;
  private readonly methods = new Map<string, Fastest>();

  onRequest(call: Call): ReturnType<NonNullable<Filter["onRequest"]>> {
    if (!this.enabled || call.deadline === undefined) return undefined;
    const fastest = this.methods.get(`${call.upstream} ${call.path}`);
    if (fastest === undefined || fastest.count < ENOUGH) return undefined;
    const least = Math.min(fastest.now, fastest.before);
    const left = call.deadline.at - call.startedAt;
    if (left >= least) return undefined;
    this.refused++;
    const detail = `the call has ${Math.round(left)}ms left, and the fastest answer took ${Math.round(least)}ms of late`;
    return failure("DEADLINE_HOPELESS", detail, { unprocessed: true });
  }

  /** An answer of the application; `ms`: how long it took. */
  answered(call: Call, now: number): void {
    const key = `${call.upstream} ${call.path}`;
    const ms = now - call.startedAt;
    let fastest = this.methods.get(key);
    if (fastest === undefined) {
      if (this.methods.size >= MAX_METHODS || call.path.length > LONGEST_METHOD) return;
      fastest = { now: ms, before: Number.POSITIVE_INFINITY, count: 0, since: now };
      this.methods.set(key, fastest);
    }
    if (now - fastest.since >= MEMORY / 2) {
      const stale = now - fastest.since >= MEMORY;
      fastest.before = stale ? Number.POSITIVE_INFINITY : fastest.now;
      fastest.now = ms;
      fastest.since = now;
      if (stale) fastest.count = 0;
    }
    fastest.now = Math.min(fastest.now, ms);
    fastest.count++;
  }
}

/** See `HopelessCalls`. */
export function refuseHopeless(hopeless: HopelessCalls): Filter {
  return {
    name: "refuseHopeless",
    onRequest: (call) => hopeless.onRequest(call),
    onFinish(call, { status, origin }, now) {
      if (hopeless.enabled && status === 0 && origin === "app") hopeless.answered(call, now);
    },
  };
}

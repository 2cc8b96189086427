import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import { IdleWatch } from "../core/idle-watch.ts";
import type { Pace } from "../core/pace.ts";
import { watchHalfOpen } from "./half-open.ts";
import { pacedInto } from "./paced-stream.ts";
import { reset } from "./reset.ts";

/** How two joined connections came to their end: each half by its own end, by a failure of one, or for saying nothing. */
export type JoinEnd =
  | { readonly kind: "ended" }
  /** `side`: whose connection broke. */
  | { readonly kind: "broken"; readonly side: "from" | "to"; readonly error: Error | undefined }
  | { readonly kind: "idle" }
  /** Ended by us. */
  | { readonly kind: "cut" };

/** Hears what two joined connections carry. */
export interface JoinWatcher {
  /** Octets on their way out of the connection's opener. */
  sent(octets: number): void;
  /** Octets on their way back to it. */
  received(octets: number): void;
  /** Both connections are gone; once. */
  over(end: JoinEnd): void;
}

/** How long two joined connections may be idle. */
export interface JoinOptions {
  readonly clock: Clock;
  /** Milliseconds in which nothing has to come from either side until both are ended; undefined: for ever. */
  readonly idle: number | undefined;
  /** What octets on their way out, and back, have to wait for; undefined: nothing. */
  readonly pace?: { readonly request: Pace | undefined; readonly response: Pace | undefined } | undefined;
}

/**
 * Passes every octet of one connection on to the other as it comes, and each end as it was meant.
 *
 * Invariants: a half that has ended is ended on the other side, and the other half goes on (RFC 9293 §3.6); what one side
 * does not take is not read from the other; a reset of one side is a reset of the other.
 */
export class Join {
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly watcher: JoinWatcher;
  private open = 2;
  private end: JoinEnd = { kind: "ended" };
  private readonly idle: IdleWatch | undefined;

  /** Both sockets are paused, allow a half of them to end, and have no reader; `arrived` has been read of the first one. */
  constructor(
    from: Socket,
    to: Socket,
    arrived: Buffer | undefined,
    { clock, idle, pace }: JoinOptions,
    watcher: JoinWatcher,
  ) {
    this.from = from;
    this.to = to;
    this.watcher = watcher;
    this.idle = idle === undefined ? undefined : new IdleWatch(clock, idle, () => this.stop({ kind: "idle" }));
    for (const one of [from, to]) watchHalfOpen(one, clock);
    this.watch(from, "from");
    this.watch(to, "to");
    const out = pace?.request === undefined ? to : pacedInto(to, pace.request);
    const back = pace?.response === undefined ? from : pacedInto(from, pace.response);
    if (arrived !== undefined && arrived.length > 0) {
      watcher.sent(arrived.length);
      out.write(arrived);
    }
    from.on("data", (chunk: Buffer) => {
      this.idle?.moved();
      watcher.sent(chunk.length);
    });
    to.on("data", (chunk: Buffer) => {
      this.idle?.moved();
      watcher.received(chunk.length);
    });
    from.pipe(out);
    to.pipe(back);
  }

  /** Ends both now, as a reset. */
  cut(): void {
    this.stop({ kind: "cut" });
  }

  private watch(one: Socket, side: "from" | "to"): void {
    one.on("error", (error) => this.stop({ kind: "broken", side, error }));
    const closed = (): void => {
      // A side that is gone without having said so takes the other one with it.
      if (!one.readableEnded) this.stop({ kind: "broken", side, error: undefined });
      if (--this.open > 0) return;
      this.idle?.stop();
      this.watcher.over(this.end);
    };
    // It may have gone before anybody listened.
    if (one.closed) queueMicrotask(closed);
    else one.once("close", closed);
  }

  private stop(end: JoinEnd): void {
    if (this.end.kind === "ended") this.end = end;
    reset(this.from);
    reset(this.to);
  }
}

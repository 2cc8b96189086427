import type { Deadline, Deadlines } from "../core/deadlines.ts";
import { MessageBoundary } from "./message-boundary.ts";

/** Which streams of an upstream are ended after a while, so that their callers open others on the endpoints of then. */
export interface StreamAgePolicy {
  /** Whether callers of a method, as `:path` has it, open a stream again that was ended. */
  readonly applies: (path: string) => boolean;
  /** Milliseconds. */
  readonly maxAge: number;
  /** By up to so much of it, earlier or later. */
  readonly jitter: number;
  /** The gRPC status that callers open another stream after. */
  readonly status: number;
  readonly random: () => number;
}

/** Ends one stream when it has been open for its time: after a whole message, never within one. */
export class StreamAge {
  private readonly deadlines: Deadlines;
  private readonly expire: () => void;
  private readonly answer = new MessageBoundary();
  private deadline: Deadline;
  private isDue = false;

  /** `now`: milliseconds of the clock. `expire` is called once, unless it is stopped before, and never from within `passed`. */
  constructor({ maxAge, jitter, random }: StreamAgePolicy, deadlines: Deadlines, now: number, expire: () => void) {
    this.deadlines = deadlines;
    this.expire = expire;
    this.deadline = deadlines.arm(now + maxAge * (1 + jitter * (2 * random() - 1)), () => this.due());
  }

  /** Octets of the answer are on their way to the caller; `now` in milliseconds of the clock. */
  passed(buffer: Buffer, start: number, end: number, now: number): void {
    this.answer.passed(buffer, start, end);
    if (this.isDue && this.answer.between) {
      this.isDue = false;
      // The upstream's stream is in the middle of telling: it is ended when that is over.
      this.deadline = this.deadlines.arm(now, () => this.due());
    }
  }

  /** Idempotent. */
  stop(): void {
    this.isDue = false;
    this.deadlines.disarm(this.deadline);
  }

  private due(): void {
    if (this.answer.between) this.expire();
    else this.isDue = true;
  }
}

import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import type { Clock, Timer } from "../core/clock.ts";

/** Where lines go, and how many may wait. */
export interface LogSinkOptions {
  /** A descriptor that does not block, see `nonBlocking`. */
  readonly fd: number;
  readonly clock: Clock;
  /** Characters that may wait for a reader that does not read; further lines are dropped. */
  readonly limit?: number;
  /** Called once the reader has read what waited, with the number of lines that were dropped meanwhile. */
  readonly onDropped?: (lines: number) => void;
}

const DEFAULT_LIMIT = 1_048_576;
/** Milliseconds until a reader that took nothing is tried again. */
const RETRY = 20;
/** What keeps a line from being written now and may be over later; a full disk is made room on, a quota raised. */
const PASSING: ReadonlySet<string> = new Set(["EAGAIN", "EINTR", "ENOSPC", "EDQUOT"]);
/** Milliseconds between tries of `flushSync`. */
const NAP = 5;

/**
 * Where log lines go. A line is written before `write` returns, so none is lost when the process dies; only where the
 * reader stands still do lines wait, up to a bound, and beyond it they are dropped and counted: calls never wait for a log.
 *
 * Invariant: while `waiting` is not empty a timer is armed and nothing is written around it, so order holds.
 */
export class LogSink {
  private readonly options: LogSinkOptions;
  private waiting: Buffer[] = [];
  private octets = 0;
  private dropped = 0;
  private dead = false;
  private timer: Timer | undefined = undefined;

  constructor(options: LogSinkOptions) {
    this.options = options;
  }

  /** Takes a line with its line feed. */
  write(line: string): void {
    if (this.dead) return;
    if (this.waiting.length === 0) {
      const size = Buffer.byteLength(line);
      const taken = this.put(line);
      if (taken < size) this.wait(Buffer.from(line).subarray(taken));
    } else if (this.octets + line.length > (this.options.limit ?? DEFAULT_LIMIT)) {
      this.dropped++;
    } else {
      const rest = Buffer.from(line);
      this.waiting.push(rest);
      this.octets += rest.length;
    }
  }

  /** Waits up to `ms` milliseconds, without turning the event loop, for the reader to take the rest: for the last moment. */
  flushSync(ms: number): void {
    for (let waited = 0; this.waiting.length > 0; waited += NAP) {
      this.retry();
      if (waited >= ms) return;
      if (this.waiting.length > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, NAP);
    }
  }

  private wait(rest: Buffer): void {
    if (this.dead) return;
    this.waiting = [rest];
    this.octets = rest.length;
    this.timer ??= this.options.clock.setTimer(RETRY, () => {
      this.timer = undefined;
      this.retry();
    });
  }

  private retry(): void {
    const [first, ...more] = this.waiting;
    if (first === undefined) return;
    const all = more.length === 0 ? first : Buffer.concat(this.waiting);
    this.waiting = [];
    this.octets = 0;
    const taken = this.put(all);
    if (taken < all.length && !this.dead) {
      this.wait(all.subarray(taken));
      return;
    }
    const { dropped } = this;
    this.dropped = 0;
    if (dropped > 0) this.options.onDropped?.(dropped);
  }

  /** Writes what the reader takes now; returns how many octets that were. */
  private put(data: string | Buffer): number {
    try {
      return typeof data === "string" ? writeSync(this.options.fd, data) : writeSync(this.options.fd, data);
    } catch (error) {
      const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
      // Anything else says that the reader is gone for good, and there is no other place to tell.
      if (typeof code !== "string" || !PASSING.has(code)) this.dead = true;
      return 0;
    }
  }
}

/**
 * A descriptor for the same reader as `fd` (2 for standard error) whose writes do not block.
 *
 * A pipe is opened once more, so that only we see that it does not block, and not those who share `fd` with us. A socket
 * cannot be opened again; Node.js makes it non-blocking when it takes it over, as it does with its own standard error.
 * Files never block, and of a terminal somebody looks at the screen.
 */
export function nonBlocking(fd: number): number {
  try {
    const kind = fstatSync(fd);
    if (kind.isFIFO()) return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    if (kind.isSocket()) new Socket({ fd, readable: false, writable: true }).unref();
  } catch {
    // Without /proc or the right to open it: then it blocks, as it does for most programs.
  }
  return fd;
}

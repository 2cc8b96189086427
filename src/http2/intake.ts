import type { Duplex } from "node:stream";
import type { Clock, Timer } from "../core/clock.ts";
import { setPatience } from "../core/patience.ts";
import { ConnectionError, ErrorCode } from "./errors.ts";
import type { FlushLoop, Reader } from "./flush-loop.ts";
import type { Http2Limits } from "./limits.ts";
import type { Receiver } from "./receiver.ts";

/** Octets of a DATA frame for each octet that counts against a window, at most: the frame's header is nine (RFC 9113 §4.1). */
const LARGEST_SHARE = 10;

/** Who reads what comes in. */
export interface IntakeHost {
  /** Reads octets; how many it has read before it was others' turn, or all where nothing is read any more. */
  readSome(chunk: Buffer): number;
  /** The peer broke a rule. */
  failed(error: ConnectionError): void;
}

/**
 * How octets come in from a transport: fairly, for others want to be read as well, and not too slowly.
 *
 * Invariants: octets are read in the order in which they came; while some are kept the transport is paused, and the loop comes
 * back to them; a timer runs only while something is or lately was unfinished.
 */
export class Intake implements Reader {
  private readonly transport: Duplex;
  private readonly receiver: Receiver;
  private readonly loop: FlushLoop;
  private readonly clock: Clock;
  private readonly limits: Http2Limits;
  private readonly host: IntakeHost;
  private kept: Buffer | undefined = undefined;
  private timer: Timer | undefined = undefined;
  /** Octets that came after the end. */
  private dropped = 0;
  private peaceful = false;

  constructor(
    transport: Duplex,
    receiver: Receiver,
    loop: FlushLoop,
    clock: Clock,
    limits: Http2Limits,
    host: IntakeHost,
  ) {
    this.transport = transport;
    this.receiver = receiver;
    this.loop = loop;
    this.clock = clock;
    this.limits = limits;
    this.host = host;
  }

  take(chunk: Buffer): void {
    if (this.kept !== undefined) {
      // The transport had it already when it was paused.
      this.keep(Buffer.concat([this.kept, chunk]));
      return;
    }
    const read = this.host.readSome(chunk);
    if (read < chunk.length) {
      // The octets are the transport's when this returns.
      this.keep(Buffer.from(chunk.subarray(read)));
      this.transport.pause();
      this.loop.wait(this);
    }
    this.watch();
  }

  readOn(): boolean {
    if (this.kept === undefined) return true;
    this.receiver.beginTurn();
    const read = this.host.readSome(this.kept);
    this.watch();
    // The connection may have ended meanwhile, or its transport have brought more.
    const { kept } = this;
    if (kept === undefined) return true;
    if (read < kept.length) {
      this.keep(kept.subarray(read));
      return false;
    }
    this.letGo();
    return true;
  }

  /**
   * Octets after the end: dropped, and no more of them than may be on their way to one who does not know yet. Who broke a rule may
   * as well lose what we said last, which a destroyed transport may cost it.
   */
  drop(octets: number): void {
    this.dropped += octets;
    const { maxConnectionWindow, maxConcurrentStreams, maxHeaderListSize } = this.limits;
    const heads = 2 * maxConcurrentStreams * maxHeaderListSize;
    const most = this.peaceful ? LARGEST_SHARE * maxConnectionWindow + heads : maxConnectionWindow;
    if (this.dropped > most) this.transport.destroy();
  }

  /** Nothing is read any more. `peaceful`: both had nothing more to say. */
  stop(peaceful: boolean): void {
    this.peaceful = peaceful;
    this.timer?.cancel();
    this.timer = undefined;
    if (this.kept !== undefined) this.letGo();
  }

  private keep(octets: Buffer): void {
    this.loop.kept += octets.length - (this.kept?.length ?? 0);
    this.kept = octets;
  }

  private letGo(): void {
    this.loop.kept -= this.kept?.length ?? 0;
    this.kept = undefined;
    this.transport.resume();
  }

  /** Sees to it that what has begun is finished in time. */
  private watch(): void {
    const { unfinished } = this.receiver;
    if (unfinished === 0 || this.timer !== undefined) return;
    const { frameTimeout } = this.limits;
    const late = `a frame or a header block was not complete within ${frameTimeout} ms`;
    const judge = (): void => {
      this.timer = undefined;
      // Octets that are kept are not the peer's fault.
      if (this.receiver.unfinished !== unfinished || this.kept !== undefined) this.watch();
      else this.host.failed(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, late));
    };
    this.timer = setPatience(this.clock, frameTimeout, judge);
  }
}

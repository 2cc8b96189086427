import assert from "node:assert/strict";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import type { CloseCause } from "../../src/http2/close-cause.ts";
import { Connection } from "../../src/http2/connection.ts";
import type { ConnectionHandler } from "../../src/http2/connection-handler.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import type { Http2Limits } from "../../src/http2/limits.ts";
import type { Stream, StreamAbort, StreamHandler } from "../../src/http2/stream.ts";
import type { FakeClock } from "./clock.ts";
import type { WireEnd } from "./wire.ts";

/** The octet at a place of what a stream carries, so that what is lost, doubled or moved shows. */
export function octetAt(id: number, place: number): number {
  return (id * 37 + place * 11 + (place >> 8)) & 0xff;
}

/** One end of a call: what it has said and heard. */
export class CallEnd implements StreamHandler {
  stream: Stream | undefined = undefined;
  /** Octets said, and whether the end was. */
  said = 0;
  saidEnd = false;
  saidHead = false;
  saidTrailers: string | undefined = undefined;
  /** Octets that the stream has taken, at once or later. */
  taken = 0;
  heard = 0;
  heardEnd = false;
  heardHeads = 0;
  heardTrailers: string | undefined = undefined;
  /** Octets that were heard and not released. */
  held = 0;
  /** We reset it. */
  resetWith: number | undefined = undefined;
  abort: StreamAbort | undefined = undefined;

  get id(): number {
    return this.stream?.id ?? 0;
  }

  get over(): boolean {
    return this.stream === undefined || this.stream.state === "closed";
  }

  onInformational(): void {
    this.listen();
    assert.equal(this.heardHeads, 0);
  }

  onHead(_head: Head, end: boolean): void {
    this.listen();
    this.heardHeads++;
    assert.equal(this.heardHeads, 1);
    this.heardEnd = end;
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    this.listen();
    for (let at = start; at < end; at++)
      if (buffer[at] !== octetAt(this.id, this.heard + at - start)) assert.fail(`stream ${this.id} has lost octets`);
    this.heard += end - start;
    this.held += end - start;
    this.heardEnd = fin;
  }

  onTrailers(head: Head): void {
    this.listen();
    this.heardTrailers = head.get("x-trailer");
    this.heardEnd = true;
  }

  onSent(octets: number): void {
    this.taken += octets;
  }

  onAbort(abort: StreamAbort): void {
    assert.equal(this.abort, undefined, "told twice");
    assert.equal(this.resetWith, undefined, "told of what it did itself");
    this.abort = abort;
  }

  private listen(): void {
    assert.equal(this.heardEnd, false, "after the end");
    assert.equal(this.abort, undefined, "after an abort");
    assert.equal(this.resetWith, undefined, "after it was given up");
  }
}

/** One end of a connection that takes part in random traffic. */
export class Party implements ConnectionHandler {
  readonly role: "client" | "server";
  readonly end: WireEnd;
  readonly limits: Http2Limits;
  readonly connection: Connection;
  readonly headers = new HeaderTable();
  readonly calls = new Map<number, CallEnd>();
  readonly loop: FlushLoop;
  /** Streams that were refused before anybody heard of them, or too late. */
  readonly refused = new Set<number>();
  cause: CloseCause | undefined = undefined;
  pongs = 0;
  pings = 0;

  constructor(role: "client" | "server", end: WireEnd, limits: Http2Limits, clock: FakeClock) {
    this.role = role;
    this.end = end;
    this.limits = limits;
    this.loop = new FlushLoop(clock);
    const options = { role, limits, reuse: "callback", announce: false, fedByOwner: true } as const;
    this.connection = new Connection(end, { clock, loop: this.loop, headers: this.headers }, options, this);
  }

  /** Opens a call as a client. */
  open(pairs: readonly (readonly [string, string])[], end: boolean): CallEnd {
    const call = new CallEnd();
    call.stream = this.connection.openStream(this.headers.head(pairs), end, call);
    call.saidHead = true;
    call.saidEnd = end;
    this.calls.set(call.id, call);
    return call;
  }

  ping(): void {
    this.pings++;
    this.connection.ping(() => this.pongs++);
  }

  onStream(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    assert.equal(tooLarge, false);
    assert.equal(head.get(":method"), "POST");
    assert.equal(this.cause, undefined, "a stream after the end");
    if (this.connection.isLate(stream)) {
      this.refused.add(stream.id);
      stream.reset(ErrorCode.REFUSED_STREAM);
      return;
    }
    const call = new CallEnd();
    call.stream = stream;
    call.heardHeads = 1;
    call.heardEnd = end;
    stream.handler = call;
    this.calls.set(stream.id, call);
  }

  onCapacity(): void {}
  onGoaway(): void {}

  onClose(cause: CloseCause): void {
    assert.equal(this.cause, undefined, "closed twice");
    this.cause = cause;
  }

  onFault(error: unknown): void {
    throw error;
  }
}

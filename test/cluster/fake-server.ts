import type { Connect } from "../../src/cluster/pool/connect.ts";
import type { Clock } from "../../src/core/clock.ts";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import { Connection, type Http2Services } from "../../src/http2/connection.ts";
import type { ConnectionHandler } from "../../src/http2/connection-handler.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { defaultLimits } from "../../src/http2/limits.ts";
import type { Stream, StreamHandler } from "../../src/http2/stream.ts";
import { MemoryDuplex } from "../support/duplex.ts";

/**
 * What becomes of a dial: it stands, it fails at once, it takes 5 s to fail, it stands and the peer ends it unspoken, or it
 * stands and the peer says nothing.
 */
export type DialMode = "accept" | "refuse" | "hang" | "slam" | "mute";

/** A connection as the server sees it. */
export interface Accepted {
  readonly connection: Connection;
  readonly transport: MemoryDuplex;
  /** Streams that have been opened and not been answered. */
  readonly streams: Stream[];
}

/** An HTTP/2 server in memory that speaks by our own engine, and the dialler that reaches it. */
export class FakeServer {
  mode: DialMode = "accept";
  /** What becomes of the next dials, before `mode` counts. */
  readonly next: DialMode[] = [];
  /** The far ends of connections on which nobody speaks but the test. */
  readonly muted: MemoryDuplex[] = [];
  /** Streams that a connection allows at once. */
  maxStreams = 100;
  /** Tells that it is a sidecar. */
  sidecar = false;
  /** Answers requests at once; where it does not, the test does. */
  answers = true;
  /** Answers instead, where it is given. */
  respond: ((stream: Stream, head: Head) => void) | undefined = undefined;
  dials = 0;
  opened = 0;
  readonly accepted: Accepted[] = [];
  readonly services: Http2Services;

  constructor(clock: Clock) {
    this.services = { clock, loop: new FlushLoop(clock), headers: new HeaderTable() };
  }

  /** Connections that still stand. */
  get standing(): Accepted[] {
    return this.accepted.filter(({ transport }) => !transport.destroyed);
  }

  readonly connect: Connect = (_address, handler, connecting) => {
    this.dials++;
    const mode = this.next.shift() ?? this.mode;
    if (mode === "hang") {
      const message = "no connection within 5000 ms";
      const late = () => connecting.onFailed({ kind: "failed", reason: "CONNECT_TIMEOUT", message });
      const timer = this.services.clock.setTimer(5000, late);
      return () => timer.cancel();
    }
    let cancelled = false;
    setImmediate(() => {
      if (cancelled) return;
      if (mode === "refuse") {
        connecting.onFailed({ kind: "failed", reason: "CONNECT_REFUSED", message: "connection refused" });
        return;
      }
      const [near, far] = MemoryDuplex.pair();
      if (mode === "slam") far.on("error", () => {}).destroy();
      else if (mode === "mute") this.muted.push(far.resume());
      else this.serve(far);
      const how = { role: "client", limits: defaultLimits, reuse: "callback", announce: true } as const;
      connecting.onConnected(new Connection(near, this.services, how, handler));
    });
    return () => {
      cancelled = true;
    };
  };

  /** Answers a stream with 200 and an empty body. */
  answer(stream: Stream): void {
    stream.sendHead(this.services.headers.head([[":status", "200"]]), true);
  }

  private serve(transport: MemoryDuplex): void {
    const streams: Stream[] = [];
    const limits = { ...defaultLimits, maxConcurrentStreams: this.maxStreams };
    const handler: ConnectionHandler = {
      onStream: (stream, head) => {
        this.opened++;
        stream.handler = { ...NOTHING, onData: (_buffer, start, end) => stream.release(end - start) };
        if (this.respond !== undefined) this.respond(stream, head);
        else if (this.answers) this.answer(stream);
        else streams.push(stream);
      },
      onCapacity() {},
      onGoaway() {},
      onClose() {},
      onFault(error) {
        throw error;
      },
    };
    const how = { role: "server", limits, reuse: "callback", announce: this.sidecar } as const;
    this.accepted.push({ connection: new Connection(transport, this.services, how, handler), transport, streams });
  }
}

export const NOTHING: StreamHandler = {
  onInformational() {},
  onHead() {},
  onData() {},
  onTrailers() {},
  onSent() {},
  onAbort() {},
};

/** The head of a call. */
export function requestHead(headers: HeaderTable): Head {
  return headers.head([
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/test.v1.Test/Call"],
    [":authority", "test"],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
  ]);
}

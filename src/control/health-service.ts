import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { Clock, Timer } from "../core/clock.ts";
import { encodeMessage, isGrpc } from "../http/grpc.ts";
import { defaultHeaderTableLimits, type Head, HeaderTable } from "../http/headers.ts";
import { Status } from "../http/reason.ts";
import { Connection } from "../http2/connection.ts";
import type { ConnectionHandler } from "../http2/connection-handler.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { FlushLoop } from "../http2/flush-loop.ts";
import { defaultLimits, type Http2Limits } from "../http2/limits.ts";
import type { Stream } from "../http2/stream.ts";
import { answerHead, HealthCall, type HealthDesk } from "./health-call.ts";
import type { ControlView, HealthStatus } from "./view.ts";

/** Small enough that a full port of strangers costs some MiB: a request is an octet or a name. */
const limits: Http2Limits = {
  ...defaultLimits,
  maxConcurrentStreams: 16,
  maxHeaderListSize: 16_384,
  maxHeaderFields: 100,
  streamWindow: 65_535,
  maxStreamWindow: 65_535,
  connectionWindow: 65_535,
  maxConnectionWindow: 65_535,
  handshakeTimeout: 5000,
  maxControlBacklog: 65_536,
  maxBacklog: 131_072,
};

/** Names that the application is being asked about at once; a name that is asked for twice is asked once. */
const MAX_CHECKS = 32;
const MAX_WATCHES = 64;
/** Milliseconds after which a connection is asked whether it is still there, or closed where it has no call. */
const TICK = 30_000;

/** grpc.health.v1 over HTTP/2 for whoever asks, and nothing else. */
export class HealthService implements HealthDesk {
  // Of its own, so that what strangers send does not crowd out what calls have.
  readonly headers = new HeaderTable({
    ...defaultHeaderTableLimits,
    names: 64,
    valuesPerName: 8,
    valuesPerTarget: 8,
    lists: 256,
  });
  private readonly view: ControlView;
  private readonly clock: Clock;
  private readonly loop: FlushLoop;
  private readonly log: Logger;
  private readonly checks = new Map<string, Promise<HealthStatus>>();
  private watches = 0;

  constructor(view: ControlView, clock: Clock, loop: FlushLoop, log: Logger) {
    this.view = view;
    this.clock = clock;
    this.loop = loop;
    this.log = log;
  }

  /** Takes a connection that speaks HTTP/2, and what has been read of it. */
  accept(transport: Duplex, first: Buffer): void {
    const guard = new IdleGuard(this.clock);
    const handler: ConnectionHandler = {
      onStream: (stream, head, end, tooLarge) => this.onStream(stream, head, end, tooLarge),
      onCapacity: () => {},
      onGoaway: () => {},
      onFault: (error) => this.log.error({ err: error }, "probe: a fault of our own; the connection is closed"),
      onClose: (cause) => {
        guard.stop();
        this.log.debug({ cause: cause.reason }, "probe: a connection is closed");
      },
    };
    const { clock, loop, headers } = this;
    const connection = new Connection(
      transport,
      { clock, loop, headers },
      { role: "server", limits, reuse: "atOnce", announce: false, fedByOwner: true },
      handler,
    );
    guard.watch(connection);
    connection.receive(first);
    transport.on("data", (chunk: Buffer) => connection.receive(chunk));
  }

  check(service: string): Promise<HealthStatus> | undefined {
    const known = this.checks.get(service);
    if (known !== undefined || this.checks.size >= MAX_CHECKS) return known;
    const asked = this.view
      .askApplication(service)
      .catch((error: unknown): HealthStatus => {
        this.log.error({ err: error }, "probe: the application could not be asked");
        return "NOT_SERVING";
      })
      .finally(() => this.checks.delete(service));
    this.checks.set(service, asked);
    return asked;
  }

  watch(service: string, tell: (status: HealthStatus) => void): (() => void) | undefined {
    if (this.watches >= MAX_WATCHES) return undefined;
    this.watches++;
    const end = this.view.watchApplication(service, tell);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.watches--;
      end();
    };
  }

  private onStream(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    const path = head.get(":path") ?? "";
    const method =
      path === "/grpc.health.v1.Health/Check" ? "Check" : path === "/grpc.health.v1.Health/Watch" ? "Watch" : undefined;
    if (tooLarge) this.answer(stream, this.headers.head([[":status", "431"]]), end);
    else if (!isGrpc(head.get("content-type")))
      this.answer(stream, this.headers.head([[":status", method === undefined ? "404" : "415"]]), end);
    else if (head.get(":method") !== "POST") this.answer(stream, this.headers.head([[":status", "405"]]), end);
    else if (method === undefined) this.answer(stream, this.unimplemented(), end);
    else {
      const call = new HealthCall(stream, method, this);
      stream.handler = call;
      if (end) call.onRequest();
    }
  }

  private unimplemented(): Head {
    return answerHead(this.headers, [
      ["grpc-status", String(Status.UNIMPLEMENTED)],
      ["grpc-message", encodeMessage("here is grpc.health.v1.Health only, with Check and Watch")],
    ]);
  }

  private answer(stream: Stream, head: Head, end: boolean): void {
    stream.sendHead(head, true);
    // RFC 9113 §8.1: a caller that is answered before it has sent everything is told to stop.
    if (!end) stream.resetWhenSent(ErrorCode.NO_ERROR);
  }
}

/** Closes a connection that has no call for a while, and one whose peer is gone without a word. */
class IdleGuard {
  private readonly clock: Clock;
  private timer: Timer | undefined = undefined;
  private stopped = false;
  private answered = true;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  watch(connection: Connection): void {
    if (this.stopped) return;
    this.timer = this.clock.setTimer(TICK, () => {
      if (connection.activeStreams === 0) {
        connection.shutdown("idle");
      } else if (!this.answered) {
        connection.close("the peer did not answer a PING");
        return;
      } else {
        this.answered = false;
        connection.ping(() => {
          this.answered = true;
        });
      }
      this.watch(connection);
    });
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }
}

import { decodeRequest, encodeResponse, MAX_SERVICE_NAME } from "../cluster/health-message.ts";
import { encodeMessage } from "../http/grpc.ts";
import type { Head, HeaderTable } from "../http/headers.ts";
import { Status } from "../http/reason.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Stream, StreamHandler } from "../http2/stream.ts";
import type { HealthStatus } from "./view.ts";

/** What a call asks, and of whom. */
export interface HealthDesk {
  readonly headers: HeaderTable;
  /** Undefined where too many ask at once. */
  check(service: string): Promise<HealthStatus> | undefined;
  /** Undefined where too many watch; otherwise what ends the watch. */
  watch(service: string, tell: (status: HealthStatus) => void): (() => void) | undefined;
}

/** Octets of a request that is still one: the prefix, a tag, a length and the name. */
const MAX_REQUEST = MAX_SERVICE_NAME + 16;

/**
 * One call of grpc.health.v1.Health: reads the request, then answers once (Check) or at each change (Watch).
 *
 * Invariant: `endWatch` is called when the stream is over, whoever ended it.
 */
export class HealthCall implements StreamHandler {
  private readonly stream: Stream;
  private readonly method: "Check" | "Watch";
  private readonly desk: HealthDesk;
  private request = Buffer.alloc(0);
  private state: "reading" | "answering" | "over" = "reading";
  private endWatch: () => void = () => {};
  private latest: HealthStatus | undefined = undefined;
  private told: HealthStatus | undefined = undefined;

  constructor(stream: Stream, method: "Check" | "Watch", desk: HealthDesk) {
    this.stream = stream;
    this.method = method;
    this.desk = desk;
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    this.stream.release(end - start);
    if (this.state !== "reading") return;
    this.request = Buffer.concat([this.request, buffer.subarray(start, end)]);
    if (this.request.length > MAX_REQUEST)
      this.refuse(Status.INVALID_ARGUMENT, "the request is too long for one of grpc.health.v1");
    else if (fin) this.onRequest();
  }

  onTrailers(): void {
    if (this.state === "reading") this.onRequest();
  }

  /** The caller has sent everything. */
  onRequest(): void {
    const compressed = this.request[0] === 1;
    const service = decodeRequest(this.request);
    if (compressed) this.refuse(Status.UNIMPLEMENTED, "the request is compressed, and this server takes none that is");
    else if (service === undefined)
      this.refuse(Status.INVALID_ARGUMENT, "the request is no grpc.health.v1.HealthCheckRequest");
    else if (this.method === "Check") void this.check(service);
    else this.watch(service);
  }

  onInformational(): void {}
  onHead(): void {}

  onSent(): void {
    this.pass();
  }

  onAbort(): void {
    this.finish();
  }

  private async check(service: string): Promise<void> {
    this.state = "answering";
    const answer = this.desk.check(service);
    if (answer === undefined) {
      this.refuse(Status.RESOURCE_EXHAUSTED, "too many health checks at once");
      return;
    }
    const status = await answer;
    if (this.isOver()) return;
    if (status === "SERVICE_UNKNOWN") {
      this.refuse(Status.NOT_FOUND, "the application does not know that service");
      return;
    }
    this.tell(status);
    this.stream.sendTrailers(this.desk.headers.head([["grpc-status", "0"]]));
    this.finish();
  }

  private watch(service: string): void {
    this.state = "answering";
    const end = this.desk.watch(service, (status) => this.tell(status));
    if (end === undefined) this.refuse(Status.RESOURCE_EXHAUSTED, "too many watches at once");
    else if (this.isOver()) end();
    else this.endWatch = end;
  }

  private tell(status: HealthStatus): void {
    this.latest = status;
    this.pass();
  }

  /** Sends the newest status. A watcher that does not read gets that one when it does, not every one in between. */
  private pass(): void {
    const { latest, stream } = this;
    if (this.state === "over" || latest === undefined || latest === this.told || stream.queued > 0) return;
    if (this.told === undefined) stream.sendHead(answerHead(this.desk.headers, []), false);
    this.told = latest;
    const message = encodeResponse(latest);
    stream.sendData(message, 0, message.length, false);
  }

  private refuse(status: number, message: string): void {
    const head = answerHead(this.desk.headers, [
      ["grpc-status", String(status)],
      ["grpc-message", encodeMessage(message)],
    ]);
    this.stream.sendHead(head, true);
    // RFC 9113 §8.1: a caller that is answered before it has sent everything is told to stop.
    if (this.stream.canReceive) this.stream.resetWhenSent(ErrorCode.NO_ERROR);
    this.finish();
  }

  private finish(): void {
    this.state = "over";
    this.endWatch();
  }

  private isOver(): boolean {
    return this.state === "over";
  }
}

/** The head of a gRPC answer, trailers-only where it has a status. */
export function answerHead(headers: HeaderTable, more: readonly (readonly [string, string])[]): Head {
  return headers.head([[":status", "200"], ["content-type", "application/grpc"], ...more]);
}

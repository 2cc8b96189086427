import { version } from "../core/version.ts";
import { formatTimeout, isGrpc, parseStatus } from "../http/grpc.ts";
import type { Head } from "../http/headers.ts";
import { type Reason, Status, statusName } from "../http/reason.ts";
import type { Connection, Http2Services } from "../http2/connection.ts";
import { ErrorCode, errorCodeName } from "../http2/errors.ts";
import type { Stream, StreamAbort, StreamHandler } from "../http2/stream.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import { decodeResponse, encodeRequest, MAX_SERVICE_NAME } from "./health-message.ts";
import type { Waiter } from "./waiting-line.ts";

/** What an application says of its health; `error` where it said nothing that can be understood. */
export type HealthAnswer = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN" | "UNIMPLEMENTED" | { readonly error: string };

/** The answer's octets that are read: some are six. */
const MAX_ANSWER = 1024;

/**
 * Asks by `grpc.health.v1.Health/Check`, as a gRPC client over one of the pool's connections. "" stands for the server as a
 * whole. `timeout` in milliseconds, connecting included. Never rejects.
 */
export function checkHealth(
  pool: ConnectionPool,
  service: string,
  timeout: number,
  services: Http2Services,
): Promise<HealthAnswer> {
  if (Buffer.byteLength(service) > MAX_SERVICE_NAME) return Promise.resolve("SERVICE_UNKNOWN");
  return new Promise((resolve) => new HealthCall(service, timeout, services, resolve).start(pool));
}

/** One question. Invariant: once it is settled there is no timer, no place in a line and no stream, and so no second answer. */
class HealthCall implements StreamHandler, Waiter {
  private readonly service: string;
  private readonly timeout: number;
  private readonly services: Http2Services;
  private readonly resolve: (answer: HealthAnswer) => void;
  private stop: () => void = () => {};
  private stream: Stream | undefined = undefined;
  private answer = Buffer.alloc(0);

  constructor(service: string, timeout: number, services: Http2Services, resolve: (answer: HealthAnswer) => void) {
    this.service = service;
    this.timeout = timeout;
    this.services = services;
    this.resolve = resolve;
  }

  start(pool: ConnectionPool): void {
    const { timeout } = this;
    const late = (): void => this.settle({ error: `no answer to a health check within ${timeout} ms` });
    const timer = this.services.clock.setTimer(timeout, late);
    this.stop = () => timer.cancel();
    const connection = pool.ready();
    if (connection !== undefined) {
      this.onConnection(connection);
      return;
    }
    const giveUp = pool.wait(this);
    this.stop = () => {
      timer.cancel();
      giveUp();
    };
  }

  onConnection(connection: Connection): void {
    const head = this.services.headers.head([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/grpc.health.v1.Health/Check"],
      [":authority", "localhost"],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["user-agent", `outrigger/${version}`],
      ["grpc-timeout", formatTimeout(this.timeout)],
    ]);
    const request = encodeRequest(this.service);
    this.stream = connection.openStream(head, false, this);
    this.stream.sendData(request, 0, request.length, true);
  }

  onFailed(_reason: Reason, message: string): void {
    this.settle({ error: message });
  }

  onInformational(): void {}

  onHead(head: Head, end: boolean): void {
    const status = head.get(":status") ?? "";
    if (status !== "200" || !isGrpc(head.get("content-type"))) {
      const type = head.get("content-type") ?? "no content-type";
      this.settle({ error: `a health check was answered with HTTP ${status} and ${type}: no gRPC server` });
    } else if (end) {
      this.onTrailers(head);
    }
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    this.stream?.release(end - start);
    this.answer = Buffer.concat([this.answer, buffer.subarray(start, end)]);
    if (this.answer.length > MAX_ANSWER) this.settle({ error: "the answer to a health check is too long" });
    else if (fin) this.settle({ error: "the answer to a health check has no grpc-status" });
  }

  onTrailers(head: Head): void {
    const status = parseStatus(head.get("grpc-status"));
    if (status === Status.OK)
      this.settle(decodeResponse(this.answer) ?? { error: "the answer to a health check is malformed" });
    else if (status === Status.NOT_FOUND) this.settle("SERVICE_UNKNOWN");
    else if (status === Status.UNIMPLEMENTED) this.settle("UNIMPLEMENTED");
    else this.settle({ error: `a health check failed with ${statusName(status)}: ${head.get("grpc-message") ?? ""}` });
  }

  onSent(): void {}

  onAbort(abort: StreamAbort): void {
    this.settle({ error: `a health check ended early: ${describe(abort)}` });
  }

  private settle(answer: HealthAnswer): void {
    this.stop();
    this.stream?.reset(ErrorCode.CANCEL);
    this.resolve(answer);
  }
}

function describe(abort: StreamAbort): string {
  switch (abort.kind) {
    case "reset":
      return `the stream was reset with ${errorCodeName(abort.code)}`;
    case "unprocessed":
      return "the connection is going away";
    case "broken":
    case "lost":
    case "unsent":
    case "violation":
      return abort.reason;
  }
}

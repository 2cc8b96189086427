import type { Failure } from "../http/call.ts";
import { encodeMessage, httpOfStatus } from "../http/grpc.ts";
import type { Head, HeaderTable } from "../http/headers.ts";
import { type Direction, httpOfReason, reasons } from "../http/reason.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Stream } from "../http2/stream.ts";

/** An answer of our own in HTTP. */
export interface HttpReply {
  readonly status: number;
  readonly fields: readonly [name: string, value: string][];
  readonly body: Buffer;
}

/** How answers that the proxy makes itself are written. */
export class LocalReply {
  private readonly table: HeaderTable;
  private readonly source: () => string;
  /** Every caller may read names, limits and addresses; a stranger reads the reason's fixed sentence. */
  private readonly trusted: boolean;
  private readonly inbound: boolean;

  constructor(table: HeaderTable, identity: () => string, direction: Direction) {
    this.table = table;
    this.source = () => `${identity()}/${direction}`;
    this.trusted = direction === "outbound";
    this.inbound = direction === "inbound";
  }

  /**
   * Ends `stream` with a failure: Trailers-Only where nothing was sent yet, trailers where a gRPC head was, and a reset where
   * the caller would otherwise take a cut answer for a whole one. A caller that still sends is told to stop (RFC 9113 §8.1).
   * `known`: the caller has proven who it is.
   */
  send(stream: Stream, failure: Failure, grpc: boolean, headSent: boolean, known = false): void {
    if (headSent && !grpc) {
      stream.reset(ErrorCode.INTERNAL_ERROR);
      return;
    }
    if (headSent) stream.sendTrailers(this.table.head(this.status(failure, known)));
    else if (grpc) stream.sendHead(this.trailersOnly(failure, known), true);
    else this.sendHttp(stream, failure, known);
    if (stream.canReceive) stream.resetWhenSent(ErrorCode.NO_ERROR);
  }

  private trailersOnly(failure: Failure, known: boolean): Head {
    return this.table.head([[":status", "200"], ["content-type", "application/grpc"], ...this.status(failure, known)]);
  }

  private status(failure: Failure, known: boolean): [string, string][] {
    const pairs: [string, string][] = [
      ["grpc-status", String(failure.status)],
      ["grpc-message", encodeMessage(this.text(failure, known))],
      ...this.marks(failure),
    ];
    return pairs;
  }

  /** What a caller reads that does not speak gRPC. */
  http(failure: Failure, known: boolean): HttpReply {
    const body = Buffer.from(failure.said?.text ?? `${failure.reason}: ${this.text(failure, known)}\n`, "utf8");
    const fields: [string, string][] = [
      ["content-type", failure.said?.type ?? "text/plain; charset=utf-8"],
      ["content-length", String(body.length)],
      ...this.marks(failure),
    ];
    return { status: failure.said?.http ?? httpOfReason(failure.reason) ?? httpOfStatus(failure.status), fields, body };
  }

  private sendHttp(stream: Stream, failure: Failure, known: boolean): void {
    const { status, fields, body } = this.http(failure, known);
    stream.sendHead(this.table.head([[":status", String(status)], ...fields]), false);
    stream.sendData(body, 0, body.length, true);
  }

  private marks(failure: Failure): [string, string][] {
    const marks: [string, string][] = [
      ["outrigger-reason", failure.reason],
      ["outrigger-source", this.source()],
    ];
    if (failure.unprocessed && this.inbound) marks.push(["outrigger-unprocessed", "1"]);
    for (const [name, value] of failure.fields ?? []) marks.push([name, value]);
    return marks;
  }

  private text(failure: Failure, known: boolean): string {
    if (failure.said !== undefined && failure.said.text !== "") return failure.said.text;
    const fixed = reasons[failure.reason].text;
    return (this.trusted || known) && failure.detail !== "" ? failure.detail : fixed;
  }
}

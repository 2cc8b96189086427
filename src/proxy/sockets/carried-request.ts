import { ClientRequest, type ClientRequestArgs, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Pace } from "../../core/pace.ts";
import { pairs } from "../../http/http1-head.ts";
import { PacedStream } from "../../net/paced-stream.ts";
import { readBeforeBreaking } from "../../net/read-first.ts";
import type { RequestTrailers } from "../request-trailers.ts";

/**
 * A request on its way to the upstream, with what `http2-proxy` leaves behind: the body of GET, HEAD and OPTIONS, which it ends at
 * once, and the trailers of any. It feeds the body of every other one, and heeds `write`'s answer.
 */
export class CarriedRequest extends ClientRequest {
  private readonly source: IncomingMessage;
  private readonly counted: (octets: number) => void;
  private readonly hasBody: boolean;
  private readonly trailers: RequestTrailers;
  private feeding = false;
  /** Where its body has to wait for its turn. */
  private readonly paced: PacedStream | undefined;

  constructor(
    options: ClientRequestArgs,
    source: IncomingMessage,
    hasBody: boolean,
    trailers: RequestTrailers,
    counted: (octets: number) => void,
    pace?: Pace,
  ) {
    super(options);
    this.source = source;
    this.hasBody = hasBody;
    this.trailers = trailers;
    this.counted = counted;
    this.paced = pace && this.pacedBy(pace);
    if (hasBody) this.once("socket", (socket) => this.hearAll(socket));
  }

  /** An answer may come before the whole body has left, and nobody be there any more to take the rest. */
  private hearAll(socket: Socket): void {
    let answer: IncomingMessage | undefined;
    this.once("response", (incoming) => {
      answer = incoming;
    });
    const cutShort = (error: Error): void => {
      // One that just ends is not known to be whole.
      if (answer?.complete === false) answer.destroy(error);
    };
    this.once("close", readBeforeBreaking(socket, cutShort));
  }

  private pacedBy(pace: Pace): PacedStream {
    const paced = new PacedStream(pace);
    paced.on("data", (chunk: Buffer) => void (super.write(chunk) || paced.pause()));
    this.on("drain", () => paced.resume());
    paced.on("drain", () => this.emit("drain"));
    paced.once("end", () => this.finish());
    this.once("close", () => paced.destroy());
    return paced;
  }

  override write(chunk: Buffer): boolean {
    this.counted(chunk.length);
    return this.paced === undefined ? super.write(chunk) : this.paced.write(chunk);
  }

  override end(): this {
    const { source } = this;
    if (this.hasBody && !source.readableEnded && !this.feeding) {
      this.feeding = true;
      source.on("data", (chunk: Buffer) => void (this.write(chunk) || source.pause()));
      this.on("drain", () => source.resume());
      source.once("end", () => this.end());
      return this;
    }
    if (this.paced !== undefined && this.hasBody) this.paced.end();
    else this.finish();
    return this;
  }

  private finish(): void {
    const { source, trailers } = this;
    if (source.rawTrailers.length > 0)
      this.addTrailers(pairs(source.rawTrailers).filter(([name]) => trailers.passes(name)));
    super.end();
  }
}

import { ClientRequest, type ClientRequestArgs, type IncomingMessage } from "node:http";
import { isOfTheHead } from "../../http/field-name.ts";
import { pairs } from "../../http/http1-head.ts";

/**
 * A request on its way to the upstream, with what `http2-proxy` leaves behind: the body of GET, HEAD and OPTIONS, which it ends at
 * once, and the trailers of any. It feeds the body of every other one, and heeds `write`'s answer.
 */
export class CarriedRequest extends ClientRequest {
  private readonly source: IncomingMessage;
  private readonly counted: (octets: number) => void;
  private readonly hasBody: boolean;
  private feeding = false;

  constructor(
    options: ClientRequestArgs,
    source: IncomingMessage,
    hasBody: boolean,
    counted: (octets: number) => void,
  ) {
    super(options);
    this.source = source;
    this.hasBody = hasBody;
    this.counted = counted;
  }

  override write(chunk: Buffer): boolean {
    this.counted(chunk.length);
    return super.write(chunk);
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
    if (source.rawTrailers.length > 0)
      this.addTrailers(pairs(source.rawTrailers).filter(([name]) => !isOfTheHead(name)));
    return super.end();
  }
}

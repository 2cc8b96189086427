import { failure } from "../http/call.ts";
import { ErrorCode } from "../http2/errors.ts";
import { Acceptor, type AcceptorOptions } from "./acceptor.ts";
import type { Exchange } from "./exchange.ts";
import type { Target } from "./target.ts";

/** Calls of others to the application beside this sidecar. They never go anywhere else, whatever their `:authority` says. */
export class Inbound extends Acceptor {
  private readonly application: () => Target;
  private draining = false;

  constructor(options: AcceptorOptions, application: () => Target) {
    super(options);
    this.application = application;
  }

  /** Says GOAWAY to every caller. A stream that still comes is refused in a way that lets its caller go elsewhere. */
  override shutdown(reason: string): void {
    this.draining = true;
    super.shutdown(reason);
  }

  protected override onCall(exchange: Exchange, sidecar: boolean): void {
    if (!this.draining) exchange.begin({ kind: "target", target: this.application() });
    else if (sidecar) exchange.refuse(failure("DRAINING", "the sidecar is shutting down", { unprocessed: true }));
    else exchange.refuseStream(ErrorCode.REFUSED_STREAM, failure("DRAINING", "the sidecar is shutting down"));
  }
}

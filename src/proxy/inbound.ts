import type { Call, Failure } from "../http/call.ts";
import type { Stream } from "../http2/stream.ts";
import { Acceptor, type AcceptorOptions } from "./acceptor.ts";
import type { Exchange } from "./exchange.ts";
import { HealthExchange, isHealthCall } from "./health-exchange.ts";
import { mismatch, type Resolution, type Router, type Target } from "./target.ts";

/** Calls of others to the application beside this sidecar. They never go anywhere else, whatever their `:authority` says. */
export class Inbound extends Acceptor implements Router {
  private readonly application: () => Target;
  private isDraining = false;
  private readonly draining = (): boolean => this.isDraining;

  constructor(options: AcceptorOptions, application: () => Target) {
    super(options);
    this.application = application;
  }

  /** From now on the application is not serving for whoever asks. Calls are still taken. */
  beginDrain(): void {
    this.isDraining = true;
    for (const exchange of this.exchanges()) if (exchange instanceof HealthExchange) exchange.drain();
  }

  /** Calls under way. Whoever watches the health and has been told that there is none is not waited for. */
  get pendingCalls(): number {
    let pending = this.activeStreams;
    for (const exchange of this.exchanges()) if (exchange instanceof HealthExchange && exchange.idle) pending--;
    return pending;
  }

  /** After `shutdown`: every caller has been told which of its calls was the last, and those have ended. */
  get drained(): boolean {
    if (this.pendingCalls > 0) return false;
    for (const { connection } of this.connections) if (connection.takesStreams) return false;
    return true;
  }

  /** Ends the calls under way of which `verdictOn` says why they must not go on; returns how many. */
  reconsider(verdictOn: (call: Call) => Failure | undefined): number {
    let ended = 0;
    for (const exchange of this.exchanges()) {
      const verdict = exchange.call.outcome === undefined ? verdictOn(exchange.call) : undefined;
      if (verdict === undefined) continue;
      exchange.refuse(verdict);
      ended++;
    }
    return ended;
  }

  /** Ends what `pendingCalls` does not count. */
  endWatches(): void {
    for (const exchange of this.exchanges()) if (exchange instanceof HealthExchange) exchange.endWatch();
  }

  protected override get takesWebSockets(): boolean {
    return this.application().takesWebSockets === true;
  }

  protected override makeExchange(call: Call, stream: Stream, end: boolean): Exchange {
    if (!isHealthCall(call.path)) return super.makeExchange(call, stream, end);
    const { services, unrouted } = this.options;
    return new HealthExchange(call, stream, end, services, unrouted, this.draining);
  }

  protected override onCall(exchange: Exchange): void {
    exchange.begin(this);
  }

  readonly isFixed = true;

  resolve(call: Call): Resolution {
    call.note("routes", "inbound calls go to the application");
    const target = this.application();
    return mismatch(call, target) ?? { kind: "target", target };
  }
}

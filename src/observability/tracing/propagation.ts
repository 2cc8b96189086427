import type { Logger } from "pino";
import type { Call } from "../../http/call.ts";

/** Calls without a context, while none had one, after which the application is said not to propagate. */
const ENOUGH = 10;

/**
 * Whether the application passes the trace context on: its calls while it has a traced one under way ought to have one. A trace
 * falls apart where it does not, and nobody else can tell why.
 */
export class Propagation {
  private readonly log: Logger;
  /** Traced calls that the application has under way. */
  private readonly underWay = new Set<Call>();
  private told = false;
  /** Calls of the application during a traced one, with a context and without. */
  kept = 0;
  lost = 0;

  constructor(log: Logger) {
    this.log = log;
  }

  /** A traced call goes to the application; `over` follows. */
  begins(call: Call): void {
    this.underWay.add(call);
  }

  over(call: Call): void {
    this.underWay.delete(call);
  }

  /** The application's own call came with a context. */
  hasContext(): void {
    if (this.underWay.size > 0) this.kept++;
  }

  /** One came without. True where it ought to have had one, as far as can be told. */
  hasNone(): boolean {
    if (this.underWay.size === 0) return false;
    this.lost++;
    if (this.kept === 0 && this.lost >= ENOUGH && !this.told) {
      this.told = true;
      this.log.warn(
        { calls: this.lost },
        "the application does not propagate the trace context: its calls during traced ones come without traceparent or b3, " +
          "so each begins a trace of its own",
      );
    }
    return this.kept === 0;
  }

  /** The one traced call that a call without a context can only belong to; undefined where there are none or several. */
  only(): Call | undefined {
    if (this.underWay.size !== 1) return undefined;
    const [call] = this.underWay;
    return call;
  }
}

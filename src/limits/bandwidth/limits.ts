import type { Timers } from "../../core/clock.ts";
import type { Direction } from "../../http/reason.ts";
import { UpstreamLimits } from "../upstream-limits.ts";
import { Bandwidth, type BandwidthRate } from "./bandwidth.ts";

/** `bandwidth` of an upstream or of the service: octets a second, those of requests and those of answers; undefined: all. */
export interface BandwidthOptions {
  readonly request: number | undefined;
  readonly response: number | undefined;
  /** Octets at once after a rest; undefined: a tenth of a second's, but 64 KiB. */
  readonly burst: number | undefined;
}

/** Which octets of calls: those of what is asked, or of what is answered. */
export type Way = "request" | "response";

const LEAST_BURST = 65_536;
const UNLIMITED: BandwidthRate = { rate: Number.POSITIVE_INFINITY, burst: Number.POSITIVE_INFINITY };

/** How many octets of an upstream's calls may pass, each way; off while not configured. */
export class CallBandwidth {
  private readonly clock: Timers;
  /** Kept where a reload takes a limit out, for those who wait in it, and for when it comes back. */
  private readonly known: { request?: Bandwidth; response?: Bandwidth } = {};
  request: Bandwidth | undefined = undefined;
  response: Bandwidth | undefined = undefined;

  constructor(clock: Timers) {
    this.clock = clock;
  }

  change(options: BandwidthOptions | undefined): void {
    for (const way of ["request", "response"] as const) {
      const rate = options?.[way];
      if (rate === undefined) {
        this.known[way]?.change(UNLIMITED);
        this[way] = undefined;
        continue;
      }
      const wanted = { rate, burst: options?.burst ?? Math.max(LEAST_BURST, Math.floor(rate / 10)) };
      this.known[way]?.change(wanted);
      this.known[way] ??= new Bandwidth(this.clock, wanted);
      this[way] = this.known[way];
    }
  }
}

/** A limit that is configured. */
export interface NamedBandwidth {
  readonly direction: Direction;
  readonly upstream: string;
  readonly way: Way;
  readonly bandwidth: Bandwidth;
}

/** The bandwidth of the application and of every upstream. What was used of it outlives reloads. */
export class BandwidthLimits extends UpstreamLimits<BandwidthOptions, CallBandwidth> {
  constructor(clock: Timers) {
    super(() => new CallBandwidth(clock));
  }

  /** Those that are configured. */
  *all(): IterableIterator<NamedBandwidth> {
    for (const { direction, name, limit } of this.known())
      for (const way of ["request", "response"] as const) {
        const bandwidth = limit[way];
        if (bandwidth !== undefined) yield { direction, upstream: name, way, bandwidth };
      }
  }
}

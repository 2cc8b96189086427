/** What a generator is pointed at. */
export interface Target {
  /** Of 127.0.0.1. */
  readonly port: number;
  /** The proxy's processes, whose CPU time is taken; none where there is no proxy. */
  readonly pids: readonly number[];
  /** The processor that the generator is pinned to. */
  readonly core: number;
  /** Seconds of load before the measured window. */
  readonly warmup: number;
  /** Seconds of the measured window. */
  readonly seconds: number;
}

/** `tracing`, as the configuration has it. */
export interface TracingOptions {
  /** The collector, an http or https URL. */
  readonly otlp: string;
  readonly protocol: "grpc" | "http";
  /** Share of the traces that begin here, or whose sender left it open, which are recorded. */
  readonly sampling: number;
  /** `always`: the span of a call that failed is exported, recorded or not. */
  readonly errors: "sampled" | "always";
  /** `singleFlight`: a call without a context belongs to the one traced call that the application has at the time. */
  readonly correlate: "none" | "singleFlight";
  /** Fields of each export, such as a token. */
  readonly headers: ReadonlyMap<string, string>;
}

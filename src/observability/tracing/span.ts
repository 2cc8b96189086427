/** A span before there is one: what was recorded of a call, in the words of OpenTelemetry. */
export interface SpanRecord {
  readonly name: string;
  readonly kind: "server" | "client" | "internal";
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly events: readonly { readonly name: string; readonly at: number }[];
  /** Why it failed; undefined where it did not. */
  readonly error: string | undefined;
}

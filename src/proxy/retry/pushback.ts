/** Fields by lower-case name. */
export interface SaidFields {
  get(name: string): string | undefined;
}

/** What a server says of when to come again, by the last head of its answer. */
export const PUSHBACK = "grpc-retry-pushback-ms";

/**
 * Milliseconds after which a server wants to be asked again; "stop" where it does not want to be (gRFC A6: a negative number, or what
 * is no number); undefined where it says nothing.
 */
export function pushbackOf(last: SaidFields | undefined): number | "stop" | undefined {
  const text = last?.get(PUSHBACK);
  if (text === undefined) return undefined;
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : "stop";
}

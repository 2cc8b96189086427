/** Nothing, where a list is expected. */
export const none: readonly never[] = [];

/** A TCP address as a default. */
export function tcp(
  host: string,
  port: number,
): { readonly kind: "tcp"; readonly host: string; readonly port: number } {
  return { kind: "tcp", host, port };
}

/** Where something listens or is dialled. An empty `host` is the wildcard of both address families. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string; readonly mode: number };

/** The form in which people read and write an address: `HOST:PORT`, `[v6]:PORT`, `:PORT` or `unix:/path`. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

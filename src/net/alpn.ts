/**
 * What is spoken over TLS, as it calls it (ALPN, RFC 7301). Sidecars have names of their own for what is not HTTP/2, by which each
 * knows that the other one is a sidecar.
 */
const H2 = "h2";
const HTTP1 = "http/1.1";

/** What a connection is for that is one call's, or one request's after the other. */
export type SocketProtocol = "http1" | "tcp";

/** How a sidecar says that it is one. */
const OWN = { http1: "outrigger-http1", tcp: "outrigger-tcp" } as const satisfies Record<SocketProtocol, string>;

/** What a sidecar offers whom it dials, for HTTP/2 and otherwise. */
export const offers = {
  http2: [H2],
  http1: [OWN.http1, HTTP1],
  // Consul's own proxy insists on HTTP/2 whatever passes through it, and lets in who offers HTTP/1.1 instead.
  tcp: [OWN.tcp, HTTP1],
} as const;

/**
 * Chooses of what a client offers, the best first, for a service that speaks `protocol`, or HTTP/2 where that is undefined; undefined:
 * there is nothing in it. What passes as TCP is nobody's to judge, and its service does not speak for a sidecar.
 */
export function choose(protocol: SocketProtocol | undefined, offered: readonly string[]): string | undefined {
  const first = (...known: readonly string[]): string | undefined => known.find((name) => offered.includes(name));
  if (protocol === undefined) return first(H2);
  if (protocol === "http1") return first(OWN.http1, HTTP1, H2);
  return first(OWN.tcp) ?? offered.find((name) => name !== OWN.http1);
}

/** Whether what was agreed on says that the other end is a sidecar. `agreed`: Node's `alpnProtocol`, false without an agreement. */
export function isBetweenSidecars(protocol: SocketProtocol, agreed: string | false | null): boolean {
  return agreed === OWN[protocol];
}

/** Whether HTTP/1.1 was agreed on. Who agreed on HTTP/2, or on nothing, may yet speak either: some proxies pass on what they do not read. */
export function isHttp1(agreed: string | false | null): boolean {
  return agreed === HTTP1 || agreed === OWN.http1;
}

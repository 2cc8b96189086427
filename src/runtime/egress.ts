import { BlockList, isIP } from "node:net";
import type { Config } from "../config/types.ts";
import { type Address, formatAddress } from "../core/address.ts";
import { badEndpoint, isLoopback } from "../discovery/bad-endpoint.ts";
import type { Direction } from "../http/reason.ts";

/** What `badEndpoint` says of a listener of ours. */
const OWN = "is a listener of this sidecar";

/** Metadata services of clouds at addresses that are not link-local: EC2 and Google's over IPv6, Alibaba's. */
const metadata = new BlockList();
metadata.addAddress("fd00:ec2::254", "ipv6");
metadata.addAddress("fd20:ce::254", "ipv6");
metadata.addAddress("100.100.100.200", "ipv4");

/**
 * Why a captured connection may not go on to where it was going; undefined: it may. `own`: where this process listens.
 * Loopback, link-local addresses and metadata services are refused because the sidecar reaches what the caller could not: the
 * application's ports on loopback, the admin page, what a cloud tells the machine alone. The application may have what
 * `capture.allow` lists; what comes from outside may not, whatever it lists.
 */
export function onwardProblem(
  { capture }: Config,
  direction: Direction,
  to: Address,
  own: readonly Address[],
): string | undefined {
  const name = formatAddress(to);
  if (badEndpoint(to, own) === OWN) return `${name} ${OWN}: it would call itself`;
  const isListed = capture?.allow.some((allowed) => formatAddress(allowed) === name) === true;
  if (direction === "outbound" && isListed) return undefined;
  if (to.kind === "tcp" && isLoopback(to.host)) return `${name} is loopback`;
  if (to.kind === "tcp" && isMetadata(to.host)) return `${name} is a cloud's metadata service`;
  const bad = badEndpoint(to);
  return bad === undefined ? undefined : `${name} ${bad}`;
}

function isMetadata(host: string): boolean {
  const family = isIP(host);
  return family !== 0 && metadata.check(host, family === 6 ? "ipv6" : "ipv4");
}

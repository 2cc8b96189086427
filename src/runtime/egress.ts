import type { Config } from "../config/types.ts";
import { type Address, formatAddress } from "../core/address.ts";
import { badEndpoint, isLoopback } from "../discovery/bad-endpoint.ts";

/** What `badEndpoint` says of a listener of ours. */
const OWN = "is a listener of this sidecar";

/**
 * Why a captured connection may not go on to where it was going; undefined: it may. `own`: where this process listens.
 * Loopback and link-local addresses are refused because the sidecar reaches what the caller could not: the application's
 * ports on loopback, the admin page, a cloud's metadata service.
 */
export function onwardProblem(config: Config, to: Address, own: readonly Address[]): string | undefined {
  const name = formatAddress(to);
  if (badEndpoint(to, own) === OWN) return `${name} ${OWN}: it would call itself`;
  if (config.capture?.allow.some((allowed) => formatAddress(allowed) === name) === true) return undefined;
  if (to.kind === "tcp" && isLoopback(to.host)) return `${name} is loopback`;
  const bad = badEndpoint(to);
  return bad === undefined ? undefined : `${name} ${bad}`;
}

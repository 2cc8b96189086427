import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Address } from "../core/address.ts";

// Prefixes: RFC 1122 §3.2.1.3 ("this" network, broadcast), RFC 3927 and RFC 4291 §2.5.6 (link-local), RFC 5771 and
// RFC 4291 §2.7 (multicast), RFC 4291 §2.5.2 (unspecified). A mapped IPv4 address is checked as IPv4 by BlockList.
const unspecified = blocks([
  ["0.0.0.0", 8, "ipv4"],
  ["::", 128, "ipv6"],
]);
const linkLocal = blocks([
  ["169.254.0.0", 16, "ipv4"],
  ["fe80::", 10, "ipv6"],
]);
const multicast = blocks([
  ["224.0.0.0", 4, "ipv4"],
  ["255.255.255.255", 32, "ipv4"],
  ["ff00::", 8, "ipv6"],
]);
const loopback = blocks([
  ["127.0.0.0", 8, "ipv4"],
  ["::1", 128, "ipv6"],
]);

/**
 * Why no call may go to an address that a discovery source gave (BAD_ENDPOINT), or undefined where it may.
 * `own`: where this process listens; a wildcard there stands for every address of the machine.
 */
export function badEndpoint(address: Address, own: readonly Address[] = []): string | undefined {
  if (own.some((listener) => isSame(address, listener))) return "is a listener of this sidecar";
  if (address.kind === "unix") return undefined;
  if (address.port < 1 || address.port > 65_535) return "has no port";
  if (address.host === "" || within(unspecified, address.host)) return "is unspecified";
  if (within(linkLocal, address.host)) return "is link-local";
  if (within(multicast, address.host)) return "is multicast or broadcast";
  return undefined;
}

/** True for 127.0.0.0/8, ::1, and the name that stands for them (RFC 6761 §6.3). */
export function isLoopback(host: string): boolean {
  return isLocalName(host) || within(loopback, host);
}

/** True for the empty host, 0.0.0.0 and ::, which bind to every address. */
export function isWildcard(host: string): boolean {
  return host === "" || within(unspecified, host);
}

function isSame(address: Address, listener: Address): boolean {
  if (address.kind === "unix") return listener.kind === "unix" && address.path === listener.path;
  if (listener.kind === "unix") return false;
  if (address.port !== listener.port) return false;
  if (address.host === listener.host) return true;
  if (isWildcard(listener.host)) return isOfThisMachine(address.host);
  // Written differently (::1 and 0:0:0:0:0:0:0:1, a mapped IPv4 address, localhost) it is still the same place.
  return (isLocalName(address.host) && isLoopback(listener.host)) || within(only(listener.host), address.host);
}

function isOfThisMachine(host: string): boolean {
  if (isLoopback(host) || isWildcard(host)) return true;
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((entry) => entry.address === host || within(only(entry.address), host)),
  );
}

function isLocalName(host: string): boolean {
  return /^(.+\.)?localhost\.?$/i.test(host);
}

function only(host: string): BlockList {
  const list = new BlockList();
  if (isIP(host) !== 0) list.addAddress(host, isIP(host) === 6 ? "ipv6" : "ipv4");
  return list;
}

function within(list: BlockList, host: string): boolean {
  // A zone (fe80::1%eth0) is no part of the address.
  const bare = host.replace(/%.*$/, "");
  const family = isIP(bare);
  return family !== 0 && list.check(bare, family === 6 ? "ipv6" : "ipv4");
}

function blocks(subnets: readonly (readonly [string, number, "ipv4" | "ipv6"])[]): BlockList {
  const list = new BlockList();
  for (const [net, prefix, family] of subnets) list.addSubnet(net, prefix, family);
  return list;
}

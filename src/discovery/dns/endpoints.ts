import { type Address, formatAddress } from "../../core/address.ts";
import type { EndpointSpec } from "../source.ts";
import type { SrvRecord } from "./lookup.ts";

/** Every address of a host is an instance, and stays the same one for as long as it is among them. */
export function endpointsOfHost(addresses: readonly string[], port: number): EndpointSpec[] {
  return [...new Set(addresses)].map((host) => {
    const address: Address = { kind: "tcp", host, port };
    return { id: formatAddress(address), address, weight: 1, zone: undefined, meta: {} };
  });
}

/**
 * Every address of a target is an instance. Of several priorities only the first is used in which a target has an address
 * (RFC 2782: the lowest number).
 */
export function endpointsOfSrv(
  records: readonly SrvRecord[],
  addressesOf: (target: string) => readonly string[],
): EndpointSpec[] {
  const reachable = records.filter(({ target }) => addressesOf(target).length > 0);
  const first = Math.min(...reachable.map(({ priority }) => priority));
  const found = new Map<string, EndpointSpec>();
  for (const { target, port, weight, priority } of reachable) {
    if (priority !== first) continue;
    for (const host of addressesOf(target)) {
      const address: Address = { kind: "tcp", host, port };
      const key = formatAddress(address);
      const spec = { id: `${target}@${key}`, address, weight: Math.max(1, weight), zone: undefined, meta: {} };
      const other = found.get(key);
      // Two targets at one address are one instance; which of its names it has must not change from answer to answer.
      if (other === undefined || spec.id < other.id) found.set(key, spec);
    }
  }
  return [...found.values()];
}

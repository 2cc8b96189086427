import type { Socket } from "node:net";
import type { Address } from "../core/address.ts";

/** The address of this machine that a connection came to; undefined on a unix socket, and where it has gone. */
export function localAddress({ localAddress: host, localPort: port }: Socket): Address | undefined {
  if (host === undefined || port === undefined) return undefined;
  return { kind: "tcp", host: host.replace(/^::ffff:(?=[0-9.]+$)/, ""), port };
}

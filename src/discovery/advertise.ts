import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { type Address, formatAddress } from "../core/address.ts";
import { badEndpoint, isLoopback, isWildcard } from "./bad-endpoint.ts";

/** What the address to publish is found out from. */
export interface AdvertiseOptions {
  /** `service.advertise`; an empty host and port 0 count as left out. */
  readonly configured: { readonly host: string; readonly port: number } | undefined;
  /** The inbound listener as it is bound. */
  readonly inbound: Address;
  /** ${POD_IP} */
  readonly podIp: string | undefined;
  /** Where it will be published. */
  readonly source: { readonly kind: "directory" } | { readonly kind: "consul"; readonly address: string };
}

/** The two ends of the way to a host. */
export interface Route {
  readonly local: string;
  readonly remote: string;
}

/** Finds the way to a host and port, over IPv4 only where `ipv4` says so. Rejects where there is none. */
export type FindRoute = (host: string, port: number, ipv4: boolean) => Promise<Route>;

/** Nothing can be advertised. */
export class AdvertiseError extends Error {
  override readonly name = "AdvertiseError";
  /** The source cannot be found now; it may be worth another try. */
  readonly isTemporary: boolean;

  constructor(message: string, isTemporary: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isTemporary = isTemporary;
  }
}

/**
 * What others dial: the configured address, else the inbound host unless it is a wildcard, else the pod's address, else
 * the source address of the route to the discovery source; the inbound port. Rejects with an AdvertiseError.
 */
export async function advertise(
  options: AdvertiseOptions,
  findRoute: FindRoute = routeTo,
): Promise<{ host: string; port: number }> {
  const { configured, inbound, podIp, source } = options;
  const port = configured?.port || (inbound.kind === "tcp" ? inbound.port : 0);
  if (port === 0) throw refusal(`the inbound listener ${formatAddress(inbound)} has no port that others could dial`);

  const inboundHost = inbound.kind === "tcp" && !isWildcard(inbound.host) ? inbound.host : undefined;
  let host = configured?.host || inboundHost || podIp || undefined;
  let sourceIsLocal = source.kind === "directory";
  if (source.kind === "directory") {
    // Whoever reads the directory is on this machine.
    host ??= "127.0.0.1";
  } else if (host === undefined || isLoopback(host)) {
    const route = await routeToSource(source.address, inbound, findRoute);
    sourceIsLocal = isLoopback(route.remote);
    host ??= route.local;
  }

  const address: Address = { kind: "tcp", host, port };
  const bad = badEndpoint(address);
  if (bad !== undefined) throw refusal(`${formatAddress(address)} ${bad}, nobody can dial it`);
  if (isLoopback(host) && !sourceIsLocal) {
    throw refusal(
      `${formatAddress(address)} can be dialled from this machine only, but the discovery source is elsewhere`,
    );
  }
  return { host, port };
}

async function routeToSource(address: string, inbound: Address, findRoute: FindRoute): Promise<Route> {
  const url = new URL(address);
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  const ipv4 = inbound.kind === "tcp" && inbound.host === "0.0.0.0";
  try {
    return await findRoute(url.hostname.replace(/^\[(.*)\]$/, "$1"), port, ipv4);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `cannot find the address to advertise by the route to ${url.host} (${reason}): set service.advertise`;
    throw new AdvertiseError(message, true, { cause });
  }
}

/** Connecting a UDP socket sends nothing: it only makes the kernel choose the source address. */
const routeTo: FindRoute = async (host, port, ipv4) => {
  const { address: remote, family } = await lookup(host, { family: ipv4 ? 4 : 0 });
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.connect(port, remote, resolve);
    });
    return { local: socket.address().address, remote };
  } finally {
    socket.close();
  }
};

function refusal(why: string): AdvertiseError {
  return new AdvertiseError(`cannot advertise the service: ${why}: set service.advertise`, false);
}

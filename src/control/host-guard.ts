import { isIPv6 } from "node:net";
import type { Address } from "../core/address.ts";
import type { HttpRequest } from "./http-answer.ts";

/**
 * Keeps web pages away from admin. A page of a stranger can make a browser send requests to this machine, by a form or a
 * script, or by a name of its own that it lets resolve to 127.0.0.1 (DNS rebinding). What it cannot do is choose `Host`
 * or `Origin`, so these say who asks.
 */
export class HostGuard {
  private readonly allowed: ReadonlySet<string>;

  /** `address`: where admin listens; `hosts`: further names, as people write them, with or without a port. */
  constructor(address: Address, hosts: readonly string[]) {
    const own =
      address.kind === "tcp" && !["", "0.0.0.0", "::"].includes(address.host) ? [canonical(address.host)] : [];
    this.allowed = new Set(["localhost", ...own, ...hosts.map((host) => canonical(host))]);
  }

  /** Why a request is refused, or undefined where it may be answered. */
  refusal({ headers, localAddress }: HttpRequest): string | undefined {
    const { host } = headers;
    const name = host === undefined ? undefined : hostName(host);
    if (host === undefined || name === undefined) return "the Host field is missing or malformed";
    if (this.allowed.has(name) || this.allowed.has(canonical(host))) return undefined;
    // A wildcard listener has many addresses; the one that was dialled is its own.
    if (localAddress !== undefined && name === canonical(localAddress)) return undefined;
    return "Host is not an address of this listener, localhost, or one of admin.hosts";
  }

  /** Why a request that changes something is refused, beyond `refusal`. */
  changeRefusal({ headers }: HttpRequest): { readonly status: number; readonly error: string } | undefined {
    const { host, origin } = headers;
    const site = headers["sec-fetch-site"];
    if (site !== undefined && site !== "same-origin" && site !== "none")
      return { status: 403, error: "the request comes from another site" };
    if (origin !== undefined && originHost(origin) !== withoutDefaultPort(canonical(host ?? "")))
      return { status: 403, error: "Origin is not this host" };
    const type = headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
    // A form of another site can send anything but this one without being asked first (CORS).
    if (type !== "application/json") return { status: 415, error: "the request needs Content-Type: application/json" };
    return undefined;
  }
}

/** `Host` without its port and in the form in which hosts are compared; undefined where it is malformed. */
function hostName(host: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{1,5})?$/i.exec(host);
  if (match === null) return undefined;
  const [, v6, name] = match;
  if (v6 !== undefined) return isIPv6(v6) ? canonical(v6) : undefined;
  return canonical(name ?? "");
}

/** Lower case, without a trailing dot; addresses without brackets and zone, in their shortest form. */
function canonical(host: string): string {
  const text = host.toLowerCase().replace(/\.$/, "");
  const bare = (text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text).replace(/%.*$/, "");
  const mapped = /^::ffff:([0-9.]+)$/.exec(bare)?.[1];
  if (mapped !== undefined) return mapped;
  return isIPv6(bare) ? new URL(`http://[${bare}]`).hostname.slice(1, -1) : bare;
}

function withoutDefaultPort(host: string): string {
  return host.replace(/:(80|443)$/, "");
}

/** `host[:port]` of an origin; undefined for `null` and for what is none. */
function originHost(origin: string): string | undefined {
  const match = /^https?:\/\/([^/?#@\s]+)$/i.exec(origin);
  return match?.[1] === undefined ? undefined : withoutDefaultPort(canonical(match[1]));
}

import type { Socket } from "node:net";
import type { Address } from "../core/address.ts";
import { openCLibrary } from "../core/c-library.ts";

/** Where a redirected connection was going; undefined: it was not redirected, or that cannot be found out. */
export type OriginalDestination = (socket: Socket) => Address | undefined;

// linux/in.h, linux/in6.h, linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SO_ORIGINAL_DST = 80;
const AF_INET = 2;
const AF_INET6 = 10;
/** sizeof(struct sockaddr_in6) */
const LONGEST = 28;

type GetSockOpt = (fd: number, level: number, option: number, value: Buffer, length: [number]) => number;

/**
 * Makes what reads SO_ORIGINAL_DST, which the kernel keeps for connections that a REDIRECT rule has sent elsewhere (some 14 us
 * a connection). A string is why this process cannot: not Linux, or the native package is not installed.
 */
export async function openOriginalDestination(): Promise<OriginalDestination | string> {
  if (process.platform !== "linux") return `${process.platform} has no SO_ORIGINAL_DST`;
  const library = await openCLibrary();
  if (typeof library === "string") return library;
  const getsockopt: GetSockOpt = library.func("int getsockopt(int, int, int, _Out_ uint8_t*, _Inout_ uint32_t*)");
  return (socket) => {
    const fd = descriptorOf(socket);
    if (fd === undefined) return undefined;
    // A dual-stack socket shows an IPv4 peer as ::ffff:a.b.c.d, and keeps its destination as IPv4.
    const isV6 = socket.remoteFamily === "IPv6" && !(socket.remoteAddress ?? "").startsWith("::ffff:");
    const value = Buffer.alloc(LONGEST);
    const failed = getsockopt(fd, isV6 ? SOL_IPV6 : SOL_IP, SO_ORIGINAL_DST, value, [LONGEST]);
    return failed === 0 ? readSockaddr(value) : undefined;
  };
}

/** A `struct sockaddr_in` or `sockaddr_in6`: the family in the machine's order, port and address in the network's. */
export function readSockaddr(octets: Buffer): Address | undefined {
  const family = new Uint16Array(octets.buffer.slice(octets.byteOffset, octets.byteOffset + 2))[0];
  const port = octets.readUInt16BE(2);
  if (family === AF_INET) return { kind: "tcp", host: octets.subarray(4, 8).join("."), port };
  if (family !== AF_INET6) return undefined;
  const groups = Array.from({ length: 8 }, (_, at) => octets.readUInt16BE(8 + 2 * at).toString(16));
  // The URL parser writes IPv6 addresses in their shortest form (RFC 5952).
  const host = new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
  return { kind: "tcp", host, port };
}

/** The file descriptor of a socket, which Node has no public way to ask for. */
function descriptorOf(socket: Socket): number | undefined {
  const holder: object & { _handle?: unknown } = socket;
  const handle = holder._handle;
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}

/** Groups of 16 bits in an IPv6 address, and those of the prefix that one site or machine is given (RFC 7421). */
const GROUPS = 8;
const PREFIX = 4;

/**
 * Who is behind an address, where sources are told apart so that none takes what is others'. `address`: as a socket has it. An IPv4 address is
 * one, written as IPv6 or not. Of a global IPv6 address it is the /64 prefix, for whoever has one address of it usually has all of them at
 * will. Those of a site (unique local) and of a link share prefixes among machines, and are given out one by one: there it is the address.
 */
export function sourceOf(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [before = "", after] = address.split("::");
  const groups = before.split(":");
  if (!isGlobal(groups)) return address;
  const left = after === undefined ? 0 : GROUPS - groups.length - after.split(":").length;
  const all = [...groups, ...Array.from({ length: left }, () => "0"), ...(after ?? "").split(":")];
  return `${all
    .slice(0, PREFIX)
    .map((group) => Number.parseInt(group || "0", 16).toString(16))
    .join(":")}::/64`;
}

/** Global unicast is 2000::/3 (RFC 4291 §2.4). */
function isGlobal([first = ""]: readonly string[]): boolean {
  const value = Number.parseInt(first, 16);
  return value >= 0x2000 && value < 0x4000;
}

/** What an `:authority` says, normalised: lower case, without trailing dot. */
export type Authority =
  | { readonly kind: "name"; readonly host: string; readonly port: string }
  | { readonly kind: "ip"; readonly host: string; readonly port: string }
  | { readonly kind: "bad"; readonly why: string };

const HOST = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
/** A host name may have 253 octets; a port adds six. */
const LONGEST = 260;

/** Reads an `:authority` (RFC 3986 §3.2 without userinfo, RFC 9113 §8.3.1). */
export function parseAuthority(text: string | undefined): Authority {
  if (text === undefined || text === "") return { kind: "bad", why: "it is empty" };
  if (text.length > LONGEST) return { kind: "bad", why: "it is too long" };
  if (text.includes("@")) return { kind: "bad", why: "it has userinfo" };
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]*)(?::([0-9]*))?$/.exec(text);
  const rawHost = match?.[1];
  if (match === null || rawHost === undefined) return { kind: "bad", why: "it is not HOST or HOST:PORT" };
  const port = match[2] ?? "";
  if (port !== "" && Number(port) > 65_535) return { kind: "bad", why: "its port is above 65535" };
  const host = rawHost.toLowerCase().replace(/\.$/, "");
  if (host.startsWith("[") || IPV4.test(host)) return { kind: "ip", host, port };
  if (!HOST.test(host) || host.includes("..")) return { kind: "bad", why: "its host is not a name" };
  return { kind: "name", host, port };
}

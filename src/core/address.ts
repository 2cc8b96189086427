import { isIPv4, isIPv6 } from "node:net";

/** Where something listens or is dialled. An empty `host` is the wildcard of both address families. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string; readonly mode: number };

/** Who may connect to a unix socket unless the address says otherwise: its owner. */
const defaultMode = 0o600;

/** The kernel's `sun_path` has 108 bytes, the last one a NUL (unix(7)); what is longer would be cut off silently. */
const longestSocketPath = 107;

const hostName = /^(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/i;

/** The form in which people read and write an address; `parseAddress` reads it back. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") {
    const mode = address.mode === defaultMode ? "" : `?mode=${address.mode.toString(8).padStart(4, "0")}`;
    return `unix:${address.path}${mode}`;
  }
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}

/**
 * Reads `HOST:PORT`, `[v6]:PORT`, `:PORT` or `unix:/path`, optionally with `?mode=0660`. A string is the reason why
 * the text is no address. Names are not resolved here, and port 0 is left to the caller to refuse.
 */
export function parseAddress(text: string): Address | string {
  if (/^unix:/i.test(text)) return parseUnix(text.slice("unix:".length));
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return "an address has no scheme, only a host and a port";
  if (isIPv6(text)) return "an IPv6 address stands in brackets, before its port";
  if (text.startsWith("[") && !text.includes("]")) return "the closing bracket is missing";
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.endsWith("]")) return "the port is missing";
  const host = parseHost(text.slice(0, colon));
  if (typeof host === "string") return host;
  const digits = text.slice(colon + 1);
  if (digits === "") return "the port is missing";
  if (!/^(0|[1-9][0-9]*)$/.test(digits)) return `"${digits}" is not a port`;
  const port = Number(digits);
  if (port > 65535) return `port ${digits} is above 65535`;
  return { kind: "tcp", host: host.name, port };
}

function parseHost(text: string): { readonly name: string } | string {
  if (text === "") return { name: "" };
  if (text === "*") return "every address is written as nothing before the colon";
  if (text.startsWith("[")) {
    const inner = text.slice(1, -1);
    return text.endsWith("]") && isIPv6(inner) ? { name: inner } : `"${text}" is not an IPv6 address in brackets`;
  }
  if (text.includes(":")) return "an IPv6 address stands in brackets, before its port";
  if (/^[0-9.]+$/.test(text)) return isIPv4(text) ? { name: text } : `"${text}" is not an IPv4 address`;
  return hostName.test(text) && text.length <= 253 ? { name: text } : `"${text}" is not a host name`;
}

function parseUnix(text: string): Address | string {
  const question = text.indexOf("?");
  const path = question < 0 ? text : text.slice(0, question);
  if (!path.startsWith("/")) return "the path of a unix socket starts at the root";
  if (path.startsWith("//")) return "the path of a unix socket has one slash at its start";
  if (path.endsWith("/")) return "the path of a unix socket names a file, not a folder";
  if (path.includes("\0")) return "a path holds no NUL";
  const bytes = Buffer.byteLength(path);
  if (bytes > longestSocketPath) return `the path has ${bytes} bytes, a unix socket at most ${longestSocketPath}`;
  if (question < 0) return { kind: "unix", path, mode: defaultMode };
  const query = /^mode=0?([0-7]{3})$/.exec(text.slice(question + 1));
  if (query === null) return "after the path only ?mode= may stand, with the mode as three octal digits such as 0660";
  return { kind: "unix", path, mode: Number.parseInt(query[1] ?? "", 8) };
}

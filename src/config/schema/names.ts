import { isIP } from "node:net";
import { type Address, formatAddress, parseAddress } from "../../core/address.ts";
import { isWildcard } from "../../discovery/bad-endpoint.ts";
import { type Parsed, parsed, quote, refused } from "./parsed.ts";
import { text } from "./text.ts";
import type { Type } from "./type.ts";

const forms = "HOST:PORT, [v6]:PORT, :PORT or unix:/path";
const label = "(?!-)[a-z0-9_-]{1,63}(?<!-)";
const serviceForm = new RegExp(`^${label}(\\.${label})*$`);

/** Where to listen: port 0 takes a free one, and a unix socket may have a mode. */
export function listenAddress(): Type<Address> {
  return text({
    noun: "an address",
    label: `an address, ${forms}`,
    parse: (written) => toParsed(parseAddress(written), written),
    write: formatAddress,
    fromNumber: (written) => `":${written}"`,
  });
}

/** What to dial: one host and a port, or a socket that somebody else made. */
export function dialAddress(): Type<Address> {
  return text({
    noun: "an address",
    label: "an address to connect to, HOST:PORT, [v6]:PORT or unix:/path",
    parse: parseDial,
    write: formatAddress,
    fromNumber: (written) => `127.0.0.1:${written}`,
  });
}

function toParsed(address: Address | string, written: string): Parsed<Address> {
  if (typeof address !== "string") return parsed(address);
  return refused(`${quote(written)} is no address: ${address}`, likelyAddress(written));
}

function likelyAddress(written: string): string | undefined {
  const candidates = [
    written.trim(),
    written.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/\/$/, ""),
    written.replace(/^unix:\/+/, "unix:/"),
    written.replace(/^\*:/, ":"),
    written.replace(/^(.*:.*):([0-9]+)$/, "[$1]:$2"),
    written.replace(/^([0-9]+)$/, ":$1"),
  ];
  const found = candidates.find((candidate) => candidate !== written && typeof parseAddress(candidate) !== "string");
  return found?.startsWith(":") || found?.startsWith("[") ? `"${found}"` : found;
}

function parseDial(written: string): Parsed<Address> {
  const result = toParsed(parseAddress(written), written);
  if (result.kind === "problem") return result;
  const { value } = result;
  if (value.kind === "unix") {
    return written.includes("?")
      ? refused(`${quote(written)} sets a mode, which only who listens can do`, `unix:${value.path}`)
      : result;
  }
  if (isWildcard(value.host)) {
    return refused(`${quote(written)} can be listened on, not connected to`, `127.0.0.1:${value.port}`);
  }
  return value.port === 0 ? refused(`${quote(written)} cannot be connected to: port 0 stands for any`) : result;
}

/** What others dial. An empty host and port 0 are left to be found at start. */
export function advertisedAddress(): Type<{ readonly host: string; readonly port: number }> {
  return text({
    noun: "an address",
    label: "what others dial: HOST:PORT or [v6]:PORT; without the host it is found, with port 0 it is the inbound port",
    parse(written) {
      const result = toParsed(parseAddress(written), written);
      if (result.kind === "problem") return result;
      const { value } = result;
      if (value.kind === "unix") return refused(`${quote(written)} cannot be dialled from elsewhere`);
      if (value.host !== "" && isWildcard(value.host)) {
        return refused(`${quote(written)} cannot be dialled: a wildcard is no host`, `":${value.port}"`);
      }
      if (value.host === "" && value.port === 0) return refused(`${quote(written)} leaves everything to be found`);
      return parsed({ host: value.host, port: value.port });
    },
    write: ({ host, port }) => formatAddress({ kind: "tcp", host, port }),
    fromNumber: (written) => `":${written}"`,
  });
}

/** A service as callers write it: lower case, since an authority is read in lower case. */
export function serviceName(noun = "a service name"): Type<string> {
  return text({
    noun,
    label: `${noun} such as user or user-v2: lower-case letters, digits, "-", "_" and "."`,
    pattern: "^[a-z0-9_.-]+$",
    parse: parseServiceName,
    write: (value) => value,
    fromNumber: (written) => `"${written}"`,
  });
}

/** A service name: a DNS name in lower case, of 253 characters at most. */
export function parseServiceName(written: string): Parsed<string> {
  if (written === "") return refused("a name is not empty");
  if (serviceForm.test(written) && written.length <= 253) return parsed(written);
  const lower = written.toLowerCase();
  if (serviceForm.test(lower))
    return refused(`${quote(written)} has capital letters, and names are matched in lower case`, lower);
  const likely = lower.trim().replaceAll(/[^a-z0-9_.-]+/g, "-");
  return refused(`${quote(written)} is not a service name`, serviceForm.test(likely) ? likely : undefined);
}

/** A domain such as `service.consul`, without a dot at either end. */
export function domain(): Type<string> {
  return text({
    noun: "a domain",
    label: "a domain such as service.consul",
    pattern: "^[a-z0-9_.-]+$",
    parse(written) {
      const result = parseServiceName(written);
      if (result.kind === "value") return result;
      const likely = written
        .toLowerCase()
        .replace(/^[.*]+/, "")
        .replace(/\.+$/, "");
      return refused(`${quote(written)} is not a domain`, serviceForm.test(likely) ? likely : undefined);
    },
    write: (value) => value,
  });
}

/** A pattern of service names in which `*` stands for any letters and `?` for one. */
export function glob(): Type<string> {
  return text({
    noun: "a pattern of names",
    label: 'a pattern of names such as "*", orders or "user-*"',
    pattern: "^[a-z0-9_.*?-]+$",
    parse(written) {
      if (/^[a-z0-9_.*?-]+$/.test(written)) return parsed(written);
      const lower = written.toLowerCase();
      const suggestion = /^[a-z0-9_.*?-]+$/.test(lower) ? lower : undefined;
      return refused(`${quote(written)} matches no service name`, suggestion);
    },
    write: (value) => value,
  });
}

/** What callers write as `:authority`: a host, with or without a port. It is kept in lower case. */
export function authority(): Type<string> {
  return text({
    noun: "a host",
    label: "a host such as orders.internal, with or without a port",
    parse(written) {
      const lower = written.toLowerCase();
      if (lower.startsWith("unix:")) return refused(`${quote(written)} is no host`);
      const bare = parseAddress(`${lower.replace(/\.$/, "")}:1`);
      if (typeof bare !== "string")
        return bare.kind === "tcp" && bare.host !== "" ? parsed(hostOf(bare)) : refused("this is empty");
      const whole = parseAddress(lower.replace(/\.(?=:[0-9]+$)/, ""));
      if (typeof whole === "string")
        return refused(`${quote(written)} is no host: ${lower.includes(":") ? whole : bare}`);
      if (whole.kind === "unix" || whole.host === "") return refused(`${quote(written)} names no host`);
      return whole.port === 0
        ? refused(`${quote(written)} is no host: port 0 stands for any`)
        : parsed(formatAddress(whole));
    },
    write: (value) => value,
  });
}

function hostOf(address: Address & { kind: "tcp" }): string {
  return address.host.includes(":") ? `[${address.host}]` : address.host;
}

/** `http://HOST:PORT`; `bare`, the default: without a path, for those who use it add their own. */
export function httpUrl(path: "bare" | "path" = "bare"): Type<string> {
  return text({
    noun: "a URL",
    label: "a URL such as http://127.0.0.1:8500 or https://consul.example:8501",
    pattern: "^https?://",
    parse: (written) => parseHttpUrl(written, path),
    // Some services take their keys in a query.
    write: (value) => value.replaceAll(/([?&][^=&#]*=)[^&#]*/g, "$1***"),
    fromNumber: (written) => `http://127.0.0.1:${written}`,
  });
}

function parseHttpUrl(written: string, path: "bare" | "path"): Parsed<string> {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    const withScheme = `http://${written}`;
    const likely = !written.includes("://") && URL.canParse(withScheme) ? withScheme : undefined;
    return refused(`${quote(written)} is not an http or https URL`, likely);
  }
  if (url.username !== "" || url.password !== "") return refused("a URL here holds no user and no password");
  if (url.port === "0") return refused(`${quote(written)} cannot be connected to: port 0 stands for any`);
  if (path === "bare" && (url.pathname !== "/" || url.search !== "" || url.hash !== "")) {
    return refused(`${quote(written)} has more than a host and a port`, url.origin);
  }
  return parsed(written.replace(/\/$/, ""));
}

/** A name as name servers know it, in lower case and without the dot at its end. */
export function dnsName(example = "orders.internal"): Type<string> {
  return text({
    noun: "a DNS name",
    label: `a DNS name such as ${example}`,
    pattern: "^[a-z0-9_.-]+$",
    parse(written) {
      if (isIP(written) !== 0)
        return refused(`${quote(written)} is an address, which needs no name server: that is static discovery`);
      const result = parseServiceName(written);
      if (result.kind === "value") return result;
      const likely = written.toLowerCase().replace(/\.+$/, "");
      return refused(`${quote(written)} is not a DNS name`, serviceForm.test(likely) ? likely : undefined);
    },
    write: (value) => value,
  });
}

/** An address of a name server; port 53 may be left out. It is kept as HOST:PORT. */
export function nameServer(): Type<string> {
  return text({
    noun: "a name server",
    label: "the IP address of a name server such as 10.0.0.2, 127.0.0.1:8600 or [fd00::2]:53",
    parse(written) {
      const family = isIP(written);
      if (family !== 0) return parsed(family === 6 ? `[${written}]:53` : `${written}:53`);
      const result = parseDial(written);
      if (result.kind === "problem") return result;
      const { value } = result;
      if (value.kind === "unix" || isIP(value.host) === 0)
        return refused(`${quote(written)} is no IP address: nobody could look up the name server itself`);
      return parsed(formatAddress(value));
    },
    write: (value) => value,
  });
}

/** A network, `10.0.0.0/8` or `fd00::/8`; an address alone is the network that has only it. */
export function network(): Type<string> {
  return text({
    noun: "a network",
    label: "a network such as 10.0.0.0/8 or fd00::/8",
    parse(written) {
      const [, address = "", prefix] = /^([0-9a-fA-F.:]+)(?:\/([0-9]{1,3}))?$/.exec(written) ?? [];
      const bits = isIP(address) === 6 ? 128 : 32;
      if (isIP(address) === 0) return refused(`${quote(written)} is no network`);
      if (prefix !== undefined && Number(prefix) > bits) return refused(`${quote(written)} has a prefix over ${bits}`);
      return parsed(written);
    },
    write: (value) => value,
  });
}

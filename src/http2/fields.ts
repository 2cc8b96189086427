import type { Head, HeaderList } from "../http/headers.ts";

/** Which rules a header section has to obey: RFC 9113 §8.3.1, §8.3.2 and §8.1. */
export type SectionKind = "request" | "response" | "trailers";

/** A token of RFC 9110 §5.6.2 without capitals, RFC 9113 §8.2.1. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/**
 * RFC 9113 §8.2.1: no NUL, CR or LF, no white space at either end. The other control characters are no field content either
 * (RFC 9110 §5.5), and some servers, Envoy among them, end the connection of whoever passes them on.
 */
const BAD_VALUE = /[^\t -~\x80-\xff]|^[ \t]|[ \t]$/;
/** RFC 9113 §8.2.2: fields that belong to a connection. */
const CONNECTION_SPECIFIC = new Set(["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"]);
/**
 * Pseudo-headers of a request and what they may hold: tokens and what RFC 3986 allows, and in paths the octets above ASCII that
 * some clients send as they are.
 */
const REQUEST_PSEUDO = new Map([
  [":method", /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/],
  [":scheme", /^[A-Za-z][A-Za-z0-9+\-.]*$/],
  [":authority", /^[A-Za-z0-9\-._~!$&'()*+,;=:@[\]%]*$/],
  [":path", /^(?:\/[!-~\x80-\xff]*|\*)$/],
  [":protocol", /^[!#$%&'*+\-.^_`|~0-9A-Za-z/]+$/],
]);
/** The same, and the field that says again whom a request is for, without user information: servers leave out one that is malformed. */
const TARGET = new Map([...REQUEST_PSEUDO, ["host", /^[A-Za-z0-9\-._~!$&'()*+,;=:[\]%]*$/]]);

/** Fields that servers read in different ways where they stand twice: RFC 9110 §7.2 and §8.6. */
const ONCE = new Set(["host", "content-length"]);
/** RFC 9113 §8.3.1. */
const NO_PATH = "the :path * of another method than OPTIONS";

/** What is wrong with a header section, or undefined. The verdict on what a list fixes is kept with the list. */
export function fieldsFault(head: Head, kind: SectionKind): string | undefined {
  const fault = listFault(head.list, kind);
  if (fault !== null) return fault;
  for (const value of head.values) if (BAD_VALUE.test(value)) return valuesFault(head);
  return head.list.targetSlots && kind === "request" ? targetFault(head) : undefined;
}

/** Names the field, which who sent it looks for; its value may be a secret. */
function valuesFault(head: Head): string | undefined {
  for (const [name, value] of head.entries()) if (BAD_VALUE.test(value)) return valueFault(name, value);
  return undefined;
}

function valueFault(name: string, value: string): string {
  return /^[ \t]|[ \t]$/.test(value)
    ? `white space around the value of ${name}`
    : `a forbidden character in the value of ${name}`;
}

function targetFault(head: Head): string | undefined {
  for (const [name, value] of head.entries()) if (TARGET.get(name)?.test(value) === false) return `a malformed ${name}`;
  return head.get(":path") === "*" && head.get(":method") !== "OPTIONS" ? NO_PATH : undefined;
}

function listFault(list: HeaderList, kind: SectionKind): string | null {
  switch (kind) {
    case "request":
      if (list.requestFault === undefined) list.requestFault = findFault(list, kind);
      return list.requestFault;
    case "response":
      if (list.responseFault === undefined) list.responseFault = findFault(list, kind);
      return list.responseFault;
    case "trailers":
      if (list.trailerFault === undefined) list.trailerFault = findFault(list, kind);
      return list.trailerFault;
  }
}

function findFault(list: HeaderList, kind: SectionKind): string | null {
  const seen = new Set<string>();
  let regular = false;
  let method = "";
  let path = "";
  for (const field of list.fields) {
    const { name, value } = field;
    if (name.startsWith(":")) {
      if (kind === "trailers") return `pseudo-header ${name} in trailers`;
      if (regular) return `pseudo-header ${name} after a regular field`;
      if (kind === "request" ? !REQUEST_PSEUDO.has(name) : name !== ":status")
        return `pseudo-header ${name} in a ${kind}`;
      if (seen.has(name)) return `pseudo-header ${name} twice`;
      seen.add(name);
      if (name === ":method") method = value;
      if (name === ":path") path = value;
      if (name === ":status" && !/^[1-9][0-9][0-9]$/.test(value)) return "a :status that is not a three-digit number";
      // RFC 9113 §8.6: its semantics "aren't applicable to a multiplexed protocol".
      if (name === ":status" && value === "101") return "status 101, which HTTP/2 does not have";
    } else {
      regular = true;
      if (!NAME.test(name)) return "a field name that is not a lower-case token";
      if (CONNECTION_SPECIFIC.has(name)) return `the connection-specific field ${name}`;
      if (name === "te" && value !== "trailers") return "te other than trailers";
      if (ONCE.has(name) && seen.has(name)) return `${name} twice`;
      seen.add(name);
    }
    if (kind === "request" && !field.slot && TARGET.get(name)?.test(value) === false) return `a malformed ${name}`;
    if (!field.slot && BAD_VALUE.test(value)) return valueFault(name, value);
  }
  if (kind === "response") return seen.has(":status") ? null : "a response without :status";
  return kind === "request" ? requestFault(seen, method, path) : null;
}

/** RFC 9113 §8.3.1, and §8.5 for CONNECT; RFC 8441 §4 where it has a protocol. */
function requestFault(seen: ReadonlySet<string>, method: string, path: string): string | null {
  if (!seen.has(":method")) return "a request without :method";
  // RFC 8441 §4: on extended CONNECT ":scheme" and ":path" MUST be included as well.
  if (seen.has(":protocol")) {
    if (method !== "CONNECT") return "pseudo-header :protocol in a request other than CONNECT";
    if (!seen.has(":authority")) return "CONNECT without :authority";
  } else if (method === "CONNECT") {
    if (seen.has(":scheme") || seen.has(":path")) return "CONNECT with :scheme or :path";
    return seen.has(":authority") ? null : "CONNECT without :authority";
  }
  if (!seen.has(":scheme")) return "a request without :scheme";
  if (!seen.has(":path")) return "a request without :path";
  return path === "*" && method !== "OPTIONS" ? NO_PATH : null;
}

/** The announced content-length, undefined without one, -1 where it is not a number (RFC 9113 §8.1.1). */
export function contentLength(head: Head): number | undefined {
  const text = head.get("content-length");
  if (text === undefined) return undefined;
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : -1;
}

/** Whether a response head is an interim one, RFC 9110 §15.2. */
export function isInformational(head: Head): boolean {
  const status = head.get(":status");
  return status !== undefined && status.charCodeAt(0) === 0x31;
}

import type { Head, HeaderTable } from "./headers.ts";

/** What a request of HTTP/1.1 is, as far as it is about whom it is for and what is sent on. */
export interface Http1Request {
  readonly method: string;
  /** The request target, RFC 9112 §3.2. */
  readonly target: string;
  readonly version: string;
  /** Names and values in turn, as they came. */
  readonly raw: readonly string[];
}

/** Fields of one hop only (RFC 9110 §7.6.1), besides those that `connection` names. */
const HOP = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "http2-settings",
  "proxy-authorization",
  "proxy-authenticate",
]);

/**
 * The head of a call from a request of HTTP/1.1, as a request of HTTP/2 has it (RFC 9113 §8.3.1); a string says what is wrong
 * with it. `isAnyHost`: whom it is for is known otherwise.
 */
export function headOfHttp1(table: HeaderTable, request: Http1Request, isAnyHost: boolean): Head | string {
  const { method, version } = request;
  const fields = pairs(request.raw);
  const hosts = fields.filter(([name]) => name === "host");
  // RFC 9112 §3.2: "A server MUST respond with a 400 to any request that lacks a Host or contains more than one".
  if (hosts.length > 1) return "there is more than one Host";
  const [, host] = hosts[0] ?? [];
  if (host === undefined && (version !== "1.0" || !isAnyHost)) return "there is no Host";
  const coding = fields.filter(([name]) => name === "transfer-encoding");
  if (coding.length > 0 && version === "1.0") return "HTTP/1.0 has no Transfer-Encoding (RFC 9112 §6.1)";
  if (coding.length > 1 || (coding[0]?.[1] ?? "chunked").toLowerCase() !== "chunked")
    return "the Transfer-Encoding is another one than chunked";
  const target = originForm(request);
  if (target === undefined) return "the request target is malformed";
  const listed = connectionOptions(fields);
  return table.head([
    [":method", method],
    [":scheme", "http"],
    [":path", target.path],
    [":authority", target.authority ?? host ?? ""],
    ...fields.filter(([name]) => name !== "host" && !HOP.has(name) && !listed.has(name)),
  ]);
}

/** The fields of a call's head as a request of HTTP/1.1 has them, the framing of its body included. */
export function http1Fields(head: Head, framing: readonly (readonly [string, string])[]): [string, string][] {
  const fields: [string, string][] = [];
  for (const [name, value] of head.entries())
    if (name === ":authority") {
      if (value !== "") fields.unshift(["host", value]);
    } else if (!name.startsWith(":")) fields.push([name, value]);
  for (const [name, value] of framing) fields.push([name, value]);
  return fields;
}

/** The fields of an answer that go on, in order. `announced`: `trailer` as well, for the trailers go on. */
export function answerFields(raw: readonly string[], isForeign: (name: string) => boolean): [string, string][] {
  const fields = pairs(raw);
  const listed = connectionOptions(fields);
  return fields.filter(([name]) => name === "trailer" || !(HOP.has(name) || listed.has(name) || isForeign(name)));
}

/** Names in lower case and their values. */
export function pairs(raw: readonly string[]): [string, string][] {
  const fields: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) fields.push([(raw[at] ?? "").toLowerCase(), raw[at + 1] ?? ""]);
  return fields;
}

/** What `connection` says is of this hop only. It cannot take away what says whom a request is for and how long it is. */
function connectionOptions(fields: readonly (readonly [string, string])[]): Set<string> {
  const listed = new Set<string>();
  for (const [name, value] of fields)
    if (name === "connection") for (const option of value.toLowerCase().split(",")) listed.add(option.trim());
  for (const kept of ["host", "content-length", "authorization", "cookie", "traceparent"]) listed.delete(kept);
  return listed;
}

/** RFC 9112 §3.2.2: of the absolute form the target goes before Host. */
function originForm({ method, target }: Http1Request): { path: string; authority: string | undefined } | undefined {
  if (target.startsWith("/")) return { path: target, authority: undefined };
  if (target === "*" && method === "OPTIONS") return { path: target, authority: undefined };
  const match = /^https?:\/\/([^/?#@]+)([/?][^#]*)?$/i.exec(target);
  if (match === null) return undefined;
  const [, authority = "", rest = "/"] = match;
  return { path: rest.startsWith("/") ? rest : `/${rest}`, authority };
}

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]);

/** What stands for a method in metrics: strangers can make up as many as they want. */
export function http1Label(method: string): string {
  return `/HTTP/${METHODS.has(method) ? method : "other"}`;
}

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"]);

/** Whether a method of HTTP is idempotent (RFC 9110 §9.2.2). */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}

import assert from "node:assert/strict";
import { subjectUris } from "../../src/identity/certificate.ts";
import { IdPattern, parseSpiffeId, peerService, placeOf, UNAUTHENTICATED } from "../../src/identity/spiffe.ts";
import { mutateText } from "./mutate-text.ts";
import { shape, type Target } from "./target.ts";

/**
 * SPIFFE ids, patterns of them, and the alternative names of a certificate: a line each. An id that is accepted is what its parts
 * say and what a reader of URLs makes of it; a pattern matches what a plain reader of stars says; nobody becomes `unauthenticated`.
 */
export const spiffe: Target = {
  name: "spiffe",
  seeds: () =>
    [
      "spiffe://test.mesh/ns/default/dc/dc1/svc/web\nspiffe://*/ns/default/dc/*/svc/web\nURI:spiffe://test.mesh/a, DNS:b",
      'spiffe://td/ap/p/ns/n/dc/d/svc/s\nspiffe://td/ap/*/ns/n/dc/d/svc/s\nURI:"spiffe://td/a, URI:spiffe://td/b"',
      "spiffe://td\nspiffe://*\nDNS:x",
      "spiffe://td/../a\nspiffe://td/*/b\nURI:",
      "spiffe://TD/%2e%2e/a?b#c\nspiffe://td/a*b*c\nIP Address:127.0.0.1, URI:x",
      "spiffe://u@td:80/a\n*\nURI:a\\, b",
      "unauthenticated\nspiffe://td/x*\nothername:<unsupported>, URI:spiffe://td/y",
      "spiffe://td/ns/n/dc/d/svc/unauthenticated\nspiffe://td/ns/n/dc/d/svc/unauthenticated\n",
    ].map((text) => Buffer.from(text)),
  mutate: mutateText([
    "spiffe://",
    "SPIFFE://",
    "/ns/",
    "/dc/",
    "/svc/",
    "/ap/",
    "*",
    "**",
    "/./",
    "/../",
    "//",
    "%2f",
    "?",
    "#",
    "@",
    ":80",
    "..",
    "xn--",
    "É",
    "\u0000",
    "\\",
    '"',
    ", URI:",
    "URI:",
    "DNS:",
    "unauthenticated",
    "test.mesh",
  ]),
  run(input) {
    const [id = "", pattern = "", names = ""] = input.toString("utf8").split("\n");
    const lines = [readId(id), readPattern(pattern, id)];
    const uris = subjectUris(names);
    assert.deepEqual(subjectUris(uris.map((uri) => `URI:${JSON.stringify(uri)}`).join(", ")), uris);
    return [...lines, `${Math.min(2, uris.length)} URIs`];
  },
};

function readId(text: string): string {
  const id = parseSpiffeId(text);
  if (typeof id === "string") return shape(id);
  const { trustDomain, consul } = id;
  assert.equal(id.text, text);
  // No two readings: that of URLs is the same, and has nothing beside.
  const url = new URL(text);
  const path = text.slice("spiffe://".length + trustDomain.length);
  assert.deepEqual(
    [url.protocol, url.host, url.pathname, url.search, url.hash, url.username, url.password],
    ["spiffe:", trustDomain, path, "", "", "", ""],
  );
  if (consul !== undefined) {
    const { partition, namespace, datacenter, service } = consul;
    const ap = partition === undefined ? "" : `/ap/${partition}`;
    assert.equal(`spiffe://${trustDomain}${ap}/ns/${namespace}/dc/${datacenter}/svc/${service}`, text);
  }
  placeOf(id);
  assert.notEqual(peerService(text), UNAUTHENTICATED);
  const itself = IdPattern.parse(text);
  assert.ok(typeof itself !== "string" && itself.matches(id), "an id is a pattern of itself");
  return consul === undefined ? "an id" : "an id in Consul's form";
}

function readPattern(text: string, of: string): string {
  const pattern = IdPattern.parse(text);
  if (typeof pattern === "string") return `pattern: ${shape(pattern)}`;
  const id = parseSpiffeId(of);
  if (typeof id === "string") return "a pattern";
  const matches = pattern.matches(id);
  assert.equal(matches, plainly(text, of), `${text} and ${of}`);
  return `a pattern that matches: ${matches}`;
}

/** The same, part by part: a star is any characters of its part. */
function plainly(pattern: string, id: string): boolean {
  const [mine, theirs] = [pattern.split("/"), id.split("/")];
  return mine.length === theirs.length && mine.every((part, at) => partMatches(part, theirs[at] ?? ""));
}

function partMatches(pattern: string, part: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return pattern === part;
  if (!part.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = part.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return part.length - last.length >= at && part.endsWith(last);
}

/** Requests of HTTP/1 that two readers may take in two ways, so that one of them sees a request that the other does not. */
export interface Http1Form {
  readonly name: string;
  readonly octets: Buffer;
}

/** The request that nobody may see. */
export const SMUGGLED = "/smuggled";

const hidden = `POST ${SMUGGLED} HTTP/1.1\r\nhost: up\r\ncontent-length: 0\r\n\r\n`;

function post(fields: readonly string[], body: string): Buffer {
  return Buffer.from(["POST /fast HTTP/1.1", "host: up", ...fields, "", body].join("\r\n"), "latin1");
}

const chunked = `0\r\n\r\n${hidden}`;

export const http1Forms: readonly Http1Form[] = [
  { name: "a plain request", octets: post(["content-length: 0"], "") },
  {
    name: "content-length, then chunks",
    octets: post([`content-length: ${chunked.length}`, "transfer-encoding: chunked"], chunked),
  },
  { name: "two lengths", octets: post(["content-length: 0", `content-length: ${hidden.length}`], hidden) },
  { name: "a list of lengths", octets: post([`content-length: 0, ${hidden.length}`], hidden) },
  { name: "a length with a sign", octets: post(["content-length: +0"], hidden) },
  { name: "a coding that is none", octets: post(["transfer-encoding: xchunked", "content-length: 0"], hidden) },
  { name: "a coding after chunked", octets: post(["transfer-encoding: chunked, identity"], chunked) },
  { name: "a coding behind a tab", octets: post(["transfer-encoding:\tchunked", "content-length: 4"], chunked) },
  { name: "a space before the colon", octets: post(["transfer-encoding : chunked", "content-length: 4"], chunked) },
  { name: "a folded line", octets: post(["x-a: b", " transfer-encoding: chunked"], chunked) },
  { name: "a bare line feed", octets: Buffer.from(`POST /fast HTTP/1.1\nhost: up\ncontent-length: 0\n\n${hidden}`) },
  {
    name: "a line feed in a value",
    octets: post(["x-a: b\ntransfer-encoding: chunked", "content-length: 4"], chunked),
  },
  {
    name: "a size of a chunk that is too large",
    octets: post(["transfer-encoding: chunked"], `fffffffff\r\n${hidden}`),
  },
  { name: "an extension of a chunk", octets: post(["transfer-encoding: chunked"], `0;a\nb\r\n\r\n${hidden}`) },
  { name: "a request in a query", octets: Buffer.from(`GET /?${hidden} HTTP/1.1\r\nhost: up\r\n\r\n`) },
  {
    name: "an upgrade to h2c",
    octets: post(["connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABk"], hidden),
  },
  {
    name: "a preface behind a request",
    octets: post(["content-length: 0"], `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden}`),
  },
  { name: "two hosts", octets: post(["host: other", "content-length: 0"], hidden) },
  { name: "NUL in a name", octets: post(["transfer-\0encoding: chunked", "content-length: 4"], chunked) },
  { name: "HTTP/0.9", octets: Buffer.from(`GET ${SMUGGLED}\r\n`) },
  { name: "a version of its own", octets: Buffer.from(`POST ${SMUGGLED} HTTP/1.2\r\nhost: up\r\n\r\n`) },
];

/** The beginning of an HTTP/1 request, RFC 9112 §3; the client's preface of HTTP/2 looks like one on purpose. */
const REQUEST = /^(?!PRI )[A-Z]{3,10} (?:[/*]|http)/;

/** What is wrong with that. */
export const SPEAKS_HTTP1 = "this is an HTTP/1 request, and this port speaks HTTP/2 with prior knowledge, as gRPC does";

/** Whether octets that come first are a request of HTTP/1. */
export function speaksHttp1(chunk: Buffer): boolean {
  return REQUEST.test(chunk.toString("latin1", 0, 16));
}

const body = `not HTTP/2: ${SPEAKS_HTTP1} (curl: --http2-prior-knowledge)\n`;

/** What such a client can read. */
export const HTTP1_ANSWER = Buffer.from(
  [
    "HTTP/1.1 505 HTTP Version Not Supported",
    "content-type: text/plain",
    `content-length: ${body.length}`,
    "connection: close",
    "",
    body,
  ].join("\r\n"),
  "latin1",
);

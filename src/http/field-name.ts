/**
 * A field's name as applications read it that take `_` and `-` for one: CGI (RFC 3875 §4.1.18), and what has come after it. Who may not
 * say the one may not say the other.
 */
export function nameAsRead(name: string): string {
  return name.replaceAll("_", "-");
}

/**
 * What stands in the head of a request or nowhere: an application that adds trailers to the fields of the head would believe there what a
 * caller could not have said in it (RFC 9110 §6.5.1).
 */
const OF_THE_HEAD = new Set([
  "authorization",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "cookie",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-forwarded-client-cert",
  "x-forwarded-for",
]);

/** Whether a field of a request's trailers is not passed on. */
export function isOfTheHead(name: string): boolean {
  const read = nameAsRead(name);
  return OF_THE_HEAD.has(read) || read.startsWith("outrigger-");
}

import type { Head, HeaderTable } from "./headers.ts";

/** The one protocol that is carried by extended CONNECT. */
export const WEBSOCKET = "websocket";

/** What an extended CONNECT asks for, in lower case as tokens of `upgrade` compare (RFC 8441 §4, RFC 9110 §7.8). */
export function connectProtocol(head: Head): string {
  return head.get(":protocol")?.toLowerCase() ?? "";
}

/** An extended CONNECT as whoever decides about it sees a WebSocket, over whatever version of HTTP it comes: as a GET. */
export function asGet(table: HeaderTable, head: Head): Head {
  return table.head(
    [...head.entries()]
      .filter(([name]) => name !== ":protocol")
      .map(([name, value, secret]) => [name, name === ":method" ? "GET" : value, secret] as const),
  );
}

/** The same as it goes on over HTTP/2: what `asGet` has made of it, the other way round. */
export function asConnect(table: HeaderTable, head: Head): Head {
  return table.head([
    [":method", "CONNECT"],
    [":protocol", WEBSOCKET],
    ...[...head.entries()].filter(([name]) => name !== ":method"),
  ]);
}

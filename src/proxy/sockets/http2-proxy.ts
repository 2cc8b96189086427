import type { ClientRequest, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import * as imported from "http2-proxy";

/** What of `http2-proxy` is used, and how: the types that it comes with know neither its default export nor promises. */
export interface Http2Proxy {
  /** Carries a request; resolves when its response is over, or its caller gone. */
  web(request: IncomingMessage, response: ServerResponse, hooks: Http2ProxyHooks<ServerResponse>): Promise<void>;
  /** Carries an upgrade to WebSocket; resolves when its connection is over. */
  ws(request: IncomingMessage, socket: Duplex, head: Buffer, hooks: Http2ProxyHooks<Duplex>): Promise<void>;
}

/** Where the package lets us do our part. */
export interface Http2ProxyHooks<Down> {
  /** Makes the request, in place of the package. */
  onReq(request: IncomingMessage): ClientRequest;
  /** Answers; what it throws ends the request, and `web` or `ws` reject with it. */
  onRes(request: IncomingMessage, down: Down, answer: IncomingMessage): void;
}

function isPackage(value: unknown): value is Http2Proxy {
  return typeof value === "function" && "web" in value && "ws" in value;
}

const found: unknown = Reflect.get(imported, "default");
if (!isPackage(found)) throw new Error("http2-proxy has another shape than expected");

/** The package, which has no types of its own. */
export const http2Proxy: Http2Proxy = found;

import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { Address } from "../../core/address.ts";

/** Milliseconds for a connection or an answer. */
const PATIENCE = 3000;
const LARGEST = 1_048_576;

/** Connects and lets go. Rejects with the reason where nobody takes the connection. */
export function reach(address: Address): Promise<void> {
  const to =
    address.kind === "unix" ? { path: address.path } : { host: address.host || "127.0.0.1", port: address.port };
  return new Promise((resolve, reject) => {
    const socket = connect({ ...to, timeout: PATIENCE });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("timeout", () => socket.destroy(new Error(`no connection within ${PATIENCE / 1000}s`)));
    socket.once("error", reject);
  });
}

/** What a server answered. */
export interface HttpReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A request over HTTP or HTTPS. */
export interface HttpAsk {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** PEM, for https. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** One HTTP request. Rejects where there is no answer. */
export function ask(url: string, { method = "GET", headers, body, ...tls }: HttpAsk = {}): Promise<HttpReply> {
  const request = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { method, headers: { ...headers }, agent: false, timeout: PATIENCE, ...tls },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
          if (text.length > LARGEST) asked.destroy(new Error("the answer is too large"));
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
        response.on("error", reject);
      },
    );
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${PATIENCE / 1000}s`)));
    asked.on("error", reject);
    asked.end(body);
  });
}

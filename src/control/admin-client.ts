import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import type { Config } from "../config/types.ts";
import { type Address, formatAddress } from "../core/address.ts";

/** An admin listener and what it wants of who asks. */
export interface AdminTarget {
  readonly address: Address;
  readonly token?: string | undefined;
  /** It speaks HTTPS, with a certificate that `ca` contains or has signed; PEM. */
  readonly tls?:
    | { readonly ca: string; readonly cert?: string | undefined; readonly key?: string | undefined }
    | undefined;
}

/** What the admin listener answered. */
export interface AdminReply {
  readonly status: number;
  readonly body: string;
}

/** Milliseconds for an answer. */
const PATIENCE = 5000;

/** The admin listener that a configuration describes. Throws, naming the file, where one cannot be read. */
export function targetOf({ listeners, admin }: Config): AdminTarget {
  const { token, tokenFile, tls } = admin;
  return {
    address: listeners.admin,
    token: tokenFile === undefined ? token : readFileSync(tokenFile, "utf8").trim(),
    tls: tls && { ca: readFileSync(tls.cert, "utf8") },
  };
}

/** Asks an admin listener; by POST what changes something. Rejects with the reason where there is no answer. */
export async function askAdmin(
  { address, token, tls }: AdminTarget,
  path: string,
  method: "GET" | "POST" = "GET",
): Promise<AdminReply> {
  const to =
    address.kind === "unix"
      ? { socketPath: address.path }
      : { host: address.host === "" ? "127.0.0.1" : address.host, port: address.port };
  const { request } = tls === undefined ? await import("node:http") : await import("node:https");
  const options: RequestOptions = {
    ...to,
    path,
    method,
    headers: {
      host: "localhost",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(method === "POST" ? { "content-type": "application/json" } : {}),
    },
    agent: false,
    timeout: PATIENCE,
    // The certificate is pinned: by what name it is reached does not matter.
    ...(tls === undefined ? {} : { ...tls, allowPartialTrustChain: true, checkServerIdentity: () => undefined }),
  };
  return await new Promise((resolve, reject) => {
    const asked = request(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${PATIENCE / 1000}s`)));
    asked.on("error", (error) => reject(new Error(`cannot ask ${formatAddress(address)}: ${error.message}`)));
    asked.end();
  });
}

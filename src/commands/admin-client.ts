import { request } from "node:http";
import { loadConfig } from "../config/load.ts";
import { type Address, formatAddress, parseAddress } from "../core/address.ts";
import { type Input, type Option, UsageError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";

/** The option `--admin` of commands that ask a running sidecar. */
export const adminOption: Option = {
  value: "ADDRESS",
  doc: "the admin listener of the sidecar; without it that of the configuration, then 127.0.0.1:15000",
};

/** Milliseconds for an answer. */
const PATIENCE = 5000;
const DEFAULT: Address = { kind: "tcp", host: "127.0.0.1", port: 15000 };

/** Where the admin listener of the sidecar is that is meant. Throws a UsageError. */
export function adminAddress(input: Input): Address {
  const named = input.value("admin");
  if (named !== undefined) {
    const address = parseAddress(named);
    if (typeof address === "string") throw new UsageError(`--admin ${named}: ${address}`);
    return address;
  }
  let source: { readonly file: string; readonly text: string };
  try {
    source = readConfigFile(input);
  } catch (error) {
    if (input.value("config") !== undefined) throw error;
    return DEFAULT;
  }
  const loaded = loadConfig(source.text, { file: source.file, env: input.env });
  if (!loaded.ok)
    throw new UsageError(`${source.file} is broken, see outrigger check; or name the listener by --admin`);
  return loaded.config.listeners.admin;
}

export interface AdminReply {
  readonly status: number;
  readonly body: string;
}

/** Asks an admin listener; by POST what changes something. Rejects with the reason where there is no answer. */
export function askAdmin(address: Address, path: string, method: "GET" | "POST" = "GET"): Promise<AdminReply> {
  const to =
    address.kind === "unix"
      ? { socketPath: address.path }
      : { host: address.host === "" ? "127.0.0.1" : address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const headers = { host: "localhost", ...(method === "POST" ? { "content-type": "application/json" } : {}) };
    const options = { ...to, path, method, headers, agent: false, timeout: PATIENCE };
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

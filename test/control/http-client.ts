import { once } from "node:events";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";
import type { Address } from "../../src/core/address.ts";

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Dial this host instead of the listener's own. */
  readonly host?: string;
}

/** One request on a connection of its own. `Host` is the listener's address unless the headers say otherwise. */
export async function ask(
  address: Address,
  path: string,
  { method = "GET", headers, body, host }: Ask = {},
): Promise<Reply> {
  const to =
    address.kind === "unix" ? { socketPath: address.path } : { host: host ?? address.host, port: address.port };
  const call = request({ ...to, path, method, headers: { ...headers }, agent: false });
  call.end(body);
  const [response] = await once(call, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

/** Writes octets as they are, and returns everything that comes back until the connection ends. */
export async function raw(address: Address, octets: string | Buffer): Promise<string> {
  if (address.kind !== "tcp") throw new Error("raw speaks TCP");
  const socket = connect(address.port, address.host);
  // What has been answered and closed may still be written to.
  socket.on("error", () => {});
  socket.write(octets);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(socket, "close", { signal: AbortSignal.timeout(5000) });
  return text;
}

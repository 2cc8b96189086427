import { chmodSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { Address } from "../core/address.ts";
import { KEEPALIVE_DELAY } from "./connector.ts";

/** Connections that the kernel may hold for us; it takes the smaller of this and net.core.somaxconn. */
const BACKLOG = 4096;

/** A server for an address on which it does not listen yet. `allowHalfOpen`: a client may end its half of a connection and go on reading. */
export function makeServer(address: Address, allowHalfOpen = false): Server {
  const keepAlive = { keepAlive: address.kind === "tcp", keepAliveInitialDelay: KEEPALIVE_DELAY };
  return createServer({ noDelay: true, ...keepAlive, allowHalfOpen });
}

/**
 * Has it listen on its address; gives that, of port 0 with the one that the system chose. `shared`: others listen there as well. Where it
 * cannot it is closed.
 */
export async function startListening(server: Server, address: Address, shared = false): Promise<Address> {
  try {
    await listening(server, address, shared);
  } catch (error) {
    server.close();
    throw error;
  }
  const bound = server.address();
  if (address.kind === "unix" || bound === null || typeof bound === "string") return address;
  return { ...address, port: bound.port };
}

/** Rejects where somebody else listens on an address, whether or not they would share it. */
export async function tryToListen(address: Address): Promise<void> {
  const server = makeServer(address);
  const closed = new Promise((resolve) => server.once("close", resolve));
  server.on("connection", (socket) => socket.destroy());
  await startListening(server, address);
  server.close();
  await closed;
}

function listening(server: Server, address: Address, shared: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve();
    });
    if (address.kind === "unix") {
      server.listen({ path: address.path, backlog: BACKLOG });
      // The socket is there when `listen` returns, and nobody has been let in yet.
      if (server.listening) chmodSync(address.path, address.mode);
    } else {
      // Without a host: every address of both families, or of IPv4 where the machine has no IPv6.
      const host = address.host === "" ? {} : { host: address.host };
      server.listen({ port: address.port, backlog: BACKLOG, reusePort: shared, ...host });
    }
  });
}

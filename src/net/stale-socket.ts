import { lstat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import type { Address } from "../core/address.ts";
import { BindError } from "./bind-error.ts";

/**
 * Removes a unix socket that a process left behind. One on which somebody answers stays, and so does a file that is no
 * socket: both are a BindError.
 */
export async function clearStaleSocket(address: Extract<Address, { kind: "unix" }>): Promise<void> {
  const found = await lstat(address.path).catch(() => undefined);
  // What is wrong with the path, if anything, shows when it is bound.
  if (found === undefined) return;
  if (!found.isSocket()) throw new BindError(address, "EEXIST", "there is a file that is no socket; move it away");
  if (await answers(address.path))
    throw new BindError(address, "EADDRINUSE", "another process answers there, maybe a sidecar that still runs");
  await unlink(address.path);
}

/** Only a refusal proves that nobody listens; a full queue or a missing right does not. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => resolve(!("code" in error && error.code === "ECONNREFUSED")));
  });
}

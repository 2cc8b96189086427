import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Ends a connection so that its peer sees that it was cut, and takes nothing of it for whole: a reset of TCP, under TLS as
 * well. A unix socket knows no reset and is closed.
 */
export function reset(socket: Socket): void {
  // Node has no public way from a TLS socket to its transport.
  const parent: unknown = Reflect.get(socket, "_parent");
  const transport = parent instanceof Socket ? parent : socket;
  if (transport.destroyed || transport.remoteAddress === undefined) transport.destroy();
  else transport.resetAndDestroy();
  socket.destroy();
}

/** The same for what carries octets as a socket does, and is one unless it was handed on by somebody. */
export function cutOff(duplex: Duplex | undefined): void {
  if (duplex instanceof Socket) reset(duplex);
  else duplex?.destroy();
}

import { Socket } from "node:net";

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

import { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Ends a connection so that its peer sees that it was cut, and takes nothing of it for whole: a reset of TCP, under TLS as
 * well. A unix socket knows no reset and is closed.
 */
export function reset(socket: Socket): void {
  if (isEnding(socket)) {
    // libuv does not reset one whose half is about to end, which takes a turn; Node would leave it open for good.
    socket.pause();
    socket.once("finish", () => reset(socket));
    return;
  }
  const transport = transportOf(socket);
  if (transport.destroyed || transport.remoteAddress === undefined) transport.destroy();
  else transport.resetAndDestroy();
  socket.destroy();
}

/** The same for what carries octets as a socket does, and is one unless it was handed on by somebody. */
export function cutOff(duplex: Duplex | undefined): void {
  if (duplex instanceof Socket) reset(duplex);
  else duplex?.destroy();
}

/** What carries a socket's octets: the socket under one of TLS, or itself. */
export function transportOf(socket: Socket): Socket {
  // Node has no public way there.
  const parent: unknown = Reflect.get(socket, "_parent");
  return parent instanceof Socket ? parent : socket;
}

/** All has been said, and the end of it is on its way to the kernel. */
function isEnding({ writableEnded, writableFinished, writableLength, destroyed }: Socket): boolean {
  return writableEnded && !writableFinished && writableLength === 0 && !destroyed;
}

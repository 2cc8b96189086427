import type { Socket } from "node:net";

/** Why a connection that came back is not passed on. */
export const CAME_BACK = "it is this sidecar's own: the rules do not leave out the user that it runs as";

/**
 * Notices connections of this process that were redirected to itself, which would be passed on to itself for ever. Both ends of
 * one are ours; which of them is heard of first is not known, so each is looked for among the others.
 */
export class LoopGuard {
  /** Our end of connections that we have dialled. */
  private readonly dialled = new Set<string>();
  /** The peer's end of connections that were redirected to us. */
  private readonly taken = new Set<string>();

  /** A redirected connection has come in; whether it is one of ours. */
  take(socket: Socket): boolean {
    return keep(socket, this.taken, endpoint(socket.remoteAddress, socket.remotePort), this.dialled);
  }

  /** A connection that we have dialled stands; whether it has come in here. */
  dial(socket: Socket): boolean {
    return keep(socket, this.dialled, endpoint(socket.localAddress, socket.localPort), this.taken);
  }
}

/** Puts an end among its like while its socket is open; whether it is among the others, too. */
function keep(socket: Socket, ours: Set<string>, end: string | undefined, others: Set<string>): boolean {
  if (end === undefined) return false;
  ours.add(end);
  socket.once("close", () => ours.delete(end));
  return others.has(end);
}

function endpoint(host: string | undefined, port: number | undefined): string | undefined {
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d. Unix sockets have none, and nor has one that is gone already.
  return host === undefined ? undefined : `${host.replace("::ffff:", "")} ${port}`;
}

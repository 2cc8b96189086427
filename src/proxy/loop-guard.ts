import type { Socket } from "node:net";

/** Why a connection that came back is not passed on. */
export const CAME_BACK = "it is this sidecar's own: the rules do not leave out the user that it runs as";

const PORTS = 65_536;

/**
 * Notices connections of this process that were redirected to itself, which would be passed on to itself for ever. Both ends of
 * one are ours; which of them is heard of first is not known, so each is looked for among the others.
 *
 * Of each port there is a word for the address that has it last: 0 for none. So a connection may be missed where two addresses
 * have the same port at once, and comes back once more, by another port; nobody else's is taken for ours. The words are shared by
 * the threads of the process: a connection that one has dialled may come in at any other. Each writes its own end before it looks
 * for the other one, so that one of the two finds it.
 */
export class LoopGuard {
  /** Our end of connections that we have dialled, by port. */
  private readonly dialled: Int32Array;
  /** The peer's end of connections that were redirected to us, by port. */
  private readonly taken: Int32Array;

  /** `ends`: what the threads of a process have in common; see `sharedEnds`. */
  constructor(ends: ArrayBuffer | SharedArrayBuffer = new ArrayBuffer(OCTETS)) {
    this.dialled = new Int32Array(ends, 0, PORTS);
    this.taken = new Int32Array(ends, OCTETS / 2, PORTS);
  }

  /** A redirected connection has come in; whether it is one of ours. */
  take(socket: Socket): boolean {
    return keep(socket, this.taken, socket.remoteAddress, socket.remotePort, this.dialled);
  }

  /** A connection that we have dialled has its address; whether it has come in here. */
  dial(socket: Socket): boolean {
    return keep(socket, this.dialled, socket.localAddress, socket.localPort, this.taken);
  }
}

const OCTETS = 2 * PORTS * Int32Array.BYTES_PER_ELEMENT;

/** For the guards of all threads of a process. */
export function sharedEnds(): SharedArrayBuffer {
  return new SharedArrayBuffer(OCTETS);
}

/** Forgets everything, after a thread has ended that takes nothing out any more. */
export function forgetEnds(ends: SharedArrayBuffer): void {
  new Int32Array(ends).fill(0);
}

/** Puts an end among its like while its socket is open; whether it is among the others, too. */
function keep(
  socket: Socket,
  ours: Int32Array,
  host: string | undefined,
  port: number | undefined,
  others: Int32Array,
): boolean {
  // Unix sockets have none, and nor has one that is gone already.
  if (host === undefined || port === undefined) return false;
  const word = wordOf(host);
  Atomics.store(ours, port, word);
  socket.once("close", () => void Atomics.compareExchange(ours, port, word, 0));
  return Atomics.load(others, port) === word;
}

/** FNV-1a of an address, 32 bits, never 0. */
function wordOf(host: string): number {
  // A dual-stack socket shows IPv4 peers as ::ffff:a.b.c.d.
  const text = host.replace("::ffff:", "");
  let word = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) word = Math.imul(word ^ text.charCodeAt(at), 0x01000193);
  return word === 0 ? 1 : word;
}

import type { Sharer } from "../core/fair-queue.ts";
import { sourceOf } from "../core/source-address.ts";
import type { Direction } from "./reason.ts";

/** `HOST:PORT` and `[v6]:PORT` without the port, which differs from connection to connection. */
export function hostOf(peer: string): string {
  const colon = peer.lastIndexOf(":");
  return colon < 0 ? peer : peer.slice(0, colon);
}

/** `[v6]:PORT` without its brackets as well. */
function addressOf(peer: string): string {
  const host = hostOf(peer);
  return host.startsWith("[") ? host.slice(1, -1) : host;
}

/** What one caller has of that which callers share. */
export class CallerShare implements Sharer {
  readonly name: string;
  connections = 0;
  /** Calls under way at upstreams. */
  share = 0;
  /** Octets of requests that are kept. */
  kept = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** Whose calls of our own are. */
export const ourselves = new CallerShare("");

/**
 * Who calls, where callers share something. A caller is a verified identity, else a source of addresses: those nobody has at will, as they
 * can have connections. The application's own calls all come from one address, so there it is a connection.
 *
 * Invariant: a caller is known while it has a connection.
 */
export class Callers {
  private readonly direction: Direction;
  private readonly known = new Map<string, CallerShare>();

  constructor(direction: Direction) {
    this.direction = direction;
  }

  /** A connection has come: `peer` is its address. It is to `leave`. */
  join(identity: string | undefined, peer: string): CallerShare {
    const name = this.direction === "outbound" ? peer : (identity ?? sourceOf(addressOf(peer)));
    const caller = this.known.get(name) ?? new CallerShare(name);
    if (caller.connections++ === 0) this.known.set(name, caller);
    return caller;
  }

  leave(caller: CallerShare): void {
    if (--caller.connections === 0) this.known.delete(caller.name);
  }

  get size(): number {
    return this.known.size;
  }
}

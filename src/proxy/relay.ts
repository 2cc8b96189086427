import { connect, type Socket } from "node:net";
import { type Address, formatAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { later } from "../core/later.ts";
import { type Placed, Roster } from "../core/roster.ts";
import { Join } from "../net/join.ts";
import { CAME_BACK, type LoopGuard } from "./loop-guard.ts";

/** What is counted of relayed connections of a direction. */
export interface RelayCounts {
  /** Octets on their way out of the connection's opener, and back to it. */
  sent: number;
  received: number;
}

/** A connection that is passed on octet by octet, as people see it. */
export interface Relayed extends Placed {
  readonly peer: string;
  readonly to: string;
  /** Wall-clock milliseconds. */
  readonly since: number;
  readonly end: () => void;
}

/** What relayed connections are counted and watched by. */
export interface RelaysOptions {
  readonly clock: Clock;
  readonly counts: RelayCounts;
  /** One for all connections that are redirected to this process. */
  readonly loops: LoopGuard;
}

/** Long enough for a SYN that was lost twice (1 s, 3 s). */
const CONNECT_TIMEOUT = 5_000;

/** Connections that nothing is known of but where they go: see `Join`. */
export class Relays {
  private readonly options: RelaysOptions;
  private readonly relayed = new Roster<Relayed>();

  constructor(options: RelaysOptions) {
    this.options = options;
  }

  get size(): number {
    return this.relayed.size;
  }

  get all(): Iterable<Relayed> {
    return this.relayed.values();
  }

  /** Dials where a connection goes; the socket is paused and has no reader yet. `failed` is called once, or never. */
  dial(to: Address, connected: () => void, failed: (error: Error) => void): Socket {
    const { clock, loops } = this.options;
    const target = to.kind === "unix" ? { path: to.path } : { host: to.host, port: to.port };
    const socket = connect({ ...target, noDelay: true, allowHalfOpen: true });
    const timer = clock.setTimer(CONNECT_TIMEOUT, () =>
      socket.destroy(new Error(`no connection within ${CONNECT_TIMEOUT} ms`)),
    );
    const cameBack = (): boolean => {
      if (!loops.dial(socket)) return false;
      socket.destroy(new Error(CAME_BACK));
      return true;
    };
    // It has its own address as soon as it is under way, well before it is told that it stands: who gets it can know by then.
    later(() => void cameBack());
    socket.once("connect", () => {
      timer.cancel();
      if (!cameBack()) connected();
    });
    socket.once("error", failed);
    socket.once("close", () => timer.cancel());
    return socket;
  }

  /** Joins two sockets; `arrived` has been read of the first one already. The first allows half-open connections, too. */
  join(from: Socket, upstream: Socket, peer: string, to: Address, arrived: Buffer | undefined): void {
    const { clock, counts } = this.options;
    // From here on a failure is no failed dial any more.
    upstream.removeAllListeners("error");
    const watcher = {
      sent: (octets: number): void => {
        counts.sent += octets;
      },
      received: (octets: number): void => {
        counts.received += octets;
      },
      over: () => this.relayed.delete(entry),
    };
    const joined = new Join(from, upstream, arrived, { clock, idle: undefined }, watcher);
    const end = (): void => joined.cut();
    const entry: Relayed = { peer, to: formatAddress(to), since: clock.wall(), place: -1, end };
    this.relayed.add(entry);
  }

  /** Ends what is left; returns how many that were. */
  closeAll(): number {
    const all = [...this.relayed.values()];
    for (const { end } of all) end();
    return all.length;
  }
}

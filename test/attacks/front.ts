import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Where an attack goes, how long it lasts, and what became of it. */
export interface Figures {
  /** Connections at a time. */
  places: number;
  /** Frames, handshakes or connections, whatever the attack is made of. */
  units: number;
  /** Connections that were made, and those of them that the sidecar ended. */
  made: number;
  ended: number;
  /** Connections that could not be made, and those that went into places where the sidecar has ended none yet. */
  refused: number;
  untouched: number;
  /** Milliseconds. */
  elapsed: number;
}

/** Addresses of loopback that attackers come from, unless they say otherwise; honest callers come from 127.0.0.1. */
const SOURCES = 16;

/**
 * One attack on one listener, over so many connections at a time, each in a place of its own: a connection that the sidecar ends
 * is followed by another one.
 */
export class Front {
  readonly host: string;
  readonly port: number;
  readonly places: number;
  private readonly end: number;
  private readonly last: number;
  private readonly due: number;
  private readonly begun = performance.now();
  sources = SOURCES;
  private readonly touched = new Set<number>();
  private readonly sockets = new Set<Socket>();
  readonly figures: Omit<Figures, "places" | "untouched" | "elapsed"> = { units: 0, made: 0, ended: 0, refused: 0 };

  /** `patience`: milliseconds more for the sidecar to have ended a connection in as many places as are `due`, where it is busy. */
  constructor(address: string, places: number, milliseconds: number, patience: number, due: number) {
    const [host = "", port = ""] = address.split(":");
    this.host = host;
    this.port = Number(port);
    this.places = places;
    this.end = this.begun + milliseconds;
    this.last = this.end + patience;
    this.due = Math.min(due, places);
  }

  get over(): boolean {
    const now = performance.now();
    return now > this.last || (now > this.end && this.touched.size >= this.due);
  }

  result(): Figures {
    const elapsed = performance.now() - this.begun;
    return { ...this.figures, places: this.places, untouched: this.places - this.touched.size, elapsed };
  }

  /** Has `one` go on in every place until the attack is over; it gets a connection, and gives it up when it returns. */
  async everywhere(one: (socket: Socket, place: number) => Promise<void>): Promise<void> {
    const places = Array.from({ length: this.places }, (_, place) => this.keepOn(place, one));
    const closing = setInterval(() => {
      if (this.over) for (const socket of this.sockets) socket.destroy();
    }, 50);
    await Promise.all(places);
    clearInterval(closing);
  }

  private async keepOn(place: number, one: (socket: Socket, place: number) => Promise<void>): Promise<void> {
    // Not all in one instant: the queue of connections that have not been accepted is finite.
    await sleep(Math.floor(place / 100) * 20);
    while (!this.over) {
      const socket = await this.connect(place);
      if (socket === undefined) {
        this.figures.refused++;
        await sleep(10);
        continue;
      }
      this.figures.made++;
      this.sockets.add(socket);
      let isOurs = false;
      socket.once("close", () => {
        this.sockets.delete(socket);
        if (isOurs || this.over) return;
        this.figures.ended++;
        this.touched.add(place);
      });
      try {
        await one(socket, place);
      } finally {
        isOurs = !socket.closed;
        socket.destroy();
      }
    }
  }

  private async connect(place: number): Promise<Socket | undefined> {
    const localAddress = `127.0.0.${2 + (place % this.sources)}`;
    const socket = connect({ host: this.host, port: this.port, localAddress, noDelay: true });
    const connected = await Promise.race([
      once(socket, "connect").then(
        () => true,
        () => false,
      ),
      sleep(2000, false, { ref: false }),
    ]);
    socket.on("error", () => {});
    if (!connected) {
      socket.destroy();
      return undefined;
    }
    // What the sidecar says is taken and not looked at.
    socket.resume();
    return socket;
  }
}

/** Resolves when the connection is over. */
export async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
}

/** Writes, and waits until that has left or the connection is over. */
export async function written(socket: Socket, octets: Buffer): Promise<boolean> {
  if (socket.destroyed || !socket.writable) return false;
  if (socket.write(octets)) return true;
  return await new Promise((resolve) => {
    const settle = (left: boolean) => () => {
      socket.off("drain", drained);
      socket.off("close", gone);
      resolve(left);
    };
    const drained = settle(true);
    const gone = settle(false);
    socket.on("drain", drained);
    socket.on("close", gone);
  });
}

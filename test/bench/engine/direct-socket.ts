import { Socket } from "node:net";

/** What has gone through all sockets of this kind. */
export const traffic = { writes: 0, octets: 0 };

/**
 * One end of a connection in memory for measuring the engine alone: what is written is handed to the other end at once, in the
 * writer's own buffer, and none of Node's stream machinery runs. Nobody may keep what it was given.
 */
export class DirectSocket extends Socket {
  private peer: DirectSocket | undefined = undefined;
  private reader: (chunk: Buffer) => void = () => {};

  static pair(): [DirectSocket, DirectSocket] {
    const ends: [DirectSocket, DirectSocket] = [new DirectSocket(), new DirectSocket()];
    ends[0].peer = ends[1];
    ends[1].peer = ends[0];
    return ends;
  }

  /** Who gets what comes; whoever listens for "data" instead does as well. */
  feed(reader: (chunk: Buffer) => void): void {
    this.reader = reader;
  }

  override on(event: string, listener: (...args: never[]) => void): this {
    if (event === "data") this.reader = listener as (chunk: Buffer) => void;
    else super.on(event, listener as (...args: unknown[]) => void);
    return this;
  }

  // The callback is only for a write that has not completed when it returns; see `Output.write`.
  override write(chunk: Uint8Array | string): boolean {
    if (!(chunk instanceof Buffer)) throw new Error("only buffers are written here");
    traffic.writes++;
    traffic.octets += chunk.length;
    this.peer?.reader(chunk);
    return true;
  }

  override cork(): void {}
  override uncork(): void {}

  override end(): this {
    this.peer?.destroy();
    return this.destroy();
  }
}

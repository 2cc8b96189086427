import { Duplex } from "node:stream";

/**
 * One end of an in-memory connection. Octets are copied when they are written and arrive in a later turn of the event loop, as
 * those of a socket do; how many may arrive is up to the test.
 */
export class MemoryDuplex extends Duplex {
  private peer: MemoryDuplex | undefined = undefined;
  private readonly queue: { readonly chunk: Buffer; readonly done: () => void }[] = [];
  private allowed = Number.POSITIVE_INFINITY;
  private delivering = false;
  private wanted = false;
  private finished: (() => void) | undefined = undefined;
  /** Octets that have arrived at the other end. */
  delivered = 0;

  constructor() {
    super({ allowHalfOpen: false, highWaterMark: 16_384 });
  }

  /** Two ends of a connection. */
  static pair(): [MemoryDuplex, MemoryDuplex] {
    const ends: [MemoryDuplex, MemoryDuplex] = [new MemoryDuplex(), new MemoryDuplex()];
    ends[0].peer = ends[1];
    ends[1].peer = ends[0];
    return ends;
  }

  /** From now on only `octets` more that this end writes arrive; the rest waits until more are allowed. */
  allow(octets: number): void {
    this.allowed = octets;
    this.deliver();
  }

  /** Breaks the connection as a reset does: both ends are destroyed, the other one with an error. */
  cut(): void {
    this.peer?.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
    this.destroy();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.queue.push({ chunk: Buffer.from(chunk), done });
    this.deliver();
  }

  override _final(done: () => void): void {
    this.finished = done;
    this.deliver();
  }

  override _read(): void {
    this.wanted = true;
    this.peer?.deliver();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this;
    // What was written before still arrives, then the end does.
    setImmediate(() => {
      if (peer !== undefined && !peer.destroyed && !peer.readableEnded && this.queue.length === 0) peer.push(null);
    });
    done(error);
  }

  private deliver(): void {
    if (this.delivering) return;
    this.delivering = true;
    setImmediate(() => {
      this.delivering = false;
      this.deliverNow();
    });
  }

  private deliverNow(): void {
    const { peer, queue } = this;
    while (peer !== undefined && !peer.destroyed && peer.wanted && this.allowed > 0) {
      const first = queue[0];
      if (first === undefined) break;
      const part = first.chunk.subarray(0, this.allowed);
      const rest = first.chunk.subarray(part.length);
      this.allowed -= part.length;
      this.delivered += part.length;
      queue.shift();
      if (rest.length > 0) queue.unshift({ chunk: rest, done: first.done });
      peer.wanted = peer.push(part);
      if (rest.length === 0) first.done();
    }
    if (queue.length === 0 && this.finished !== undefined) {
      peer?.push(null);
      this.finished();
      this.finished = undefined;
    }
  }
}

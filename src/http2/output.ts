import type { Duplex } from "node:stream";

/** Octets of an output buffer: four full frames of DATA in one write. */
const CHUNK = 65_536 + 1024;

/** Spare output buffers of a process. A connection holds one only while it has something to write. */
const SPARES = 64;
const spares: Buffer[] = [];

function take(): Buffer {
  return spares.pop() ?? Buffer.allocUnsafeSlow(CHUNK);
}

function give(buffer: Buffer): void {
  if (buffer.length === CHUNK && spares.length < SPARES) spares.push(buffer);
}

/**
 * When a written buffer may be used again. `atOnce`: a plain TCP or unix socket has copied it into the kernel whenever
 * nothing of it is left in the stream's own queue; `callback`: the transport says so (TLS); `never`: the transport passes
 * the buffer itself on to its reader (in-memory pairs).
 */
export type BufferReuse = "atOnce" | "callback" | "never";

/**
 * What a connection has to write: filled during a turn, written by `flush`.
 *
 * Invariants: a buffer is owned by this object until `flush`, and by the transport until its write is complete;
 * `unflushed` is what was filled since the last flush, `inFlight` what the transport has not finished.
 */
export class Output {
  private readonly transport: Duplex;
  private readonly reuse: BufferReuse;
  private readonly onWritten: () => void;
  private readonly onHeld: (octets: number) => void;
  private current: Buffer | undefined = undefined;
  private at = 0;
  private full: { readonly buffer: Buffer; readonly length: number }[] = [];
  unflushed = 0;
  inFlight = 0;
  written = 0;
  /** Octets, from the first one on, that may have left: of what comes after them none has. */
  handedOver = 0;

  /**
   * `onWritten` is called whenever a write that did not complete at once has completed; `onHeld` of the octets of such a write,
   * and of as many fewer once it has.
   */
  constructor(transport: Duplex, reuse: BufferReuse, onWritten: () => void, onHeld: (octets: number) => void) {
    this.transport = transport;
    this.reuse = reuse;
    this.onWritten = onWritten;
    this.onHeld = onHeld;
  }

  /** Makes room for `octets` in a row and returns the buffer; write at `position` and call `advance`. */
  reserve(octets: number): Buffer {
    let buffer = this.current;
    if (buffer !== undefined && this.at + octets <= buffer.length) return buffer;
    this.close();
    buffer = octets <= CHUNK ? take() : Buffer.allocUnsafeSlow(octets);
    this.current = buffer;
    return buffer;
  }

  get position(): number {
    return this.at;
  }

  /** Octets that still fit into the current buffer, or into a new one. */
  get room(): number {
    return this.current === undefined ? CHUNK : this.current.length - this.at;
  }

  /** What was reserved has been filled up to `position`. */
  advance(position: number): void {
    this.unflushed += position - this.at;
    this.at = position;
  }

  private close(): void {
    if (this.current === undefined) return;
    if (this.at > 0) this.full.push({ buffer: this.current, length: this.at });
    else give(this.current);
    this.current = undefined;
    this.at = 0;
  }

  /** Writes everything. Does nothing on a transport that can no longer be written. */
  flush(): void {
    this.close();
    if (this.full.length === 0) return;
    const batch = this.full;
    this.full = [];
    const octets = this.unflushed;
    this.unflushed = 0;
    if (this.transport.destroyed || this.transport.writableEnded || this.transport.errored !== null) return;
    this.written += octets;
    this.inFlight += octets;
    // One write after the other, not corked: the first is nearly always complete when it returns, and Node's writev costs
    // more than a second call of it.
    for (const { buffer, length } of batch) {
      this.write(buffer, length);
      // A write that fails at once, as one to a peer that has reset the connection does, was refused whole by the kernel.
      if (this.transport.errored !== null) return;
      this.handedOver += length;
    }
  }

  private write(buffer: Buffer, length: number): void {
    const octets = buffer.subarray(0, length);
    const { transport } = this;
    // Nearly each write of a socket is complete when it returns. Node tells a callback of that by a tick of its own, which costs
    // as much as all the rest that it does for a write, so there is none until a write is seen to wait.
    const mayBeComplete = this.reuse === "atOnce" && transport.writableLength === 0;
    if (mayBeComplete) {
      transport.write(octets);
      if (transport.writableLength === 0) {
        this.inFlight -= length;
        give(buffer);
        return;
      }
    }
    this.onHeld(length);
    // What is written behind it is complete after it.
    transport.write(mayBeComplete ? NOTHING : octets, () => {
      this.inFlight -= length;
      this.onHeld(-length);
      if (this.reuse !== "never") give(buffer);
      this.onWritten();
    });
  }
}

const NOTHING = Buffer.alloc(0);

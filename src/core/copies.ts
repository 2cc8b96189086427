/** Octets that a copy in recycled memory can have: a full frame of DATA. */
const SIZE = 16_384;
/** Copies from which on recycled memory is worth a whole buffer; smaller ones come from Node's own slab. */
const SMALL = 2048;
/** Spare buffers of a process: 4 MiB. */
const SPARES = 256;
const spares: Buffer[] = [];

/**
 * A copy of octets that outlive the read that brought them. At 16 KiB a message a fresh buffer for each would keep the
 * collector busy with memory outside its heap; these are used again.
 *
 * Invariant: `free` is called at most once, and the octets are not touched after it.
 */
export class Copy {
  readonly buffer: Buffer;
  readonly length: number;

  constructor(source: Buffer, start: number, end: number) {
    this.length = end - start;
    const recycled = this.length > SMALL && this.length <= SIZE;
    this.buffer = recycled ? (spares.pop() ?? Buffer.allocUnsafeSlow(SIZE)) : Buffer.allocUnsafe(this.length);
    source.copy(this.buffer, 0, start, end);
  }

  free(): void {
    if (this.length > SMALL && this.length <= SIZE && spares.length < SPARES) spares.push(this.buffer);
  }
}

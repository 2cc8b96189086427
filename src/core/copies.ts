/** Octets of a recycled buffer: a full frame of DATA. */
const SIZE = 16_384;
/** Copies from which on recycled memory is worth a whole buffer; smaller ones come from Node's own slab. */
const SMALL = 2048;
/** What the second small copy of a row gets at least; the next ones twice as much each. */
const ROOM = 128;
/** Spare buffers of a process: half as many as are in use, but so many (4 MiB) in any case. */
const FEW = 256;
const spares: Buffer[] = [];
let inUse = 0;

/** Memory for `length` octets, recycled where that is worth it. Whoever takes it gives it back by `giveBuffer`, once. */
export function takeBuffer(length: number): Buffer {
  if (length <= SMALL || length > SIZE) return Buffer.allocUnsafe(length);
  inUse++;
  return spares.pop() ?? Buffer.allocUnsafeSlow(SIZE);
}

/** Gives a buffer back that `takeBuffer` gave out; nobody may read or write it afterwards. */
export function giveBuffer(buffer: Buffer): void {
  if (buffer.length !== SIZE) return;
  inUse--;
  const most = Math.max(FEW, inUse / 2);
  if (spares.length < most) spares.push(buffer);
  // What many needed is let go one by one as they need it no more.
  else if (spares.length > most) spares.pop();
}

/**
 * A copy of octets that outlive the read that brought them. At 16 KiB a message a fresh buffer for each would keep the
 * collector busy with memory outside its heap; these are used again.
 *
 * Invariant: `free` is called at most once, and the octets are not touched after it.
 */
export class Copy {
  readonly buffer: Buffer;
  length: number;

  /** `room`: octets that it can take at least, for more that will come. */
  private constructor(source: Buffer, start: number, end: number, room: number) {
    this.length = end - start;
    this.buffer = takeBuffer(Math.max(this.length, room));
    source.copy(this.buffer, 0, start, end);
  }

  /**
   * Puts a copy at the end of a row. Many small ones share buffers: each octet of an attacker who sends them one by one would
   * cost a hundred otherwise.
   */
  static push(row: Copy[], source: Buffer, start: number, end: number): void {
    const last = row.at(-1);
    if (last === undefined) {
      row.push(new Copy(source, start, end, 0));
      return;
    }
    const fits = Math.min(end - start, last.buffer.length - last.length);
    if (fits > 0) {
      source.copy(last.buffer, last.length, start, start + fits);
      last.length += fits;
    }
    if (start + fits === end) return;
    const room = Math.min(SIZE, Math.max(ROOM, 2 * last.buffer.length));
    row.push(new Copy(source, start + fits, end, room));
  }

  free(): void {
    giveBuffer(this.buffer);
  }
}

import { DEFAULT_TABLE_SIZE } from "./static-table.ts";
import { Form, writeInteger } from "./wire.ts";

/** Octets that the updates before one block take at most. */
export const UPDATES_SIZE = 12;

/** What an encoder has to tell the peer about its table's size at the start of the next block (RFC 7541 §4.2, §6.3). */
export class SizeUpdates {
  /** The size in force at the peer's decoder. */
  private signalled = DEFAULT_TABLE_SIZE;
  private next: number | undefined = undefined;
  private emptying = false;

  get due(): boolean {
    return this.next !== undefined;
  }

  /** The peer is to evict everything, then to go on with `size`. */
  restart(size: number): void {
    this.emptying = true;
    this.next = size;
  }

  /**
   * The peer allows `allowed` octets, of which we want `wanted`. Returns whether the table has to start anew: where the
   * peer allows less than is in force, an update to nothing comes first, which is below the smallest size there has been
   * since the last block and leaves no doubt about what is still in the table.
   */
  allow(allowed: number, wanted: number): boolean {
    if (allowed < this.signalled || this.emptying) {
      this.restart(wanted);
      return true;
    }
    this.next = wanted > this.signalled ? wanted : undefined;
    return false;
  }

  /** Writes what is due at `at`; returns the offset after it. */
  write(out: Buffer, at: number): number {
    if (this.next === undefined) return at;
    const size = this.next;
    const start = this.emptying && size > 0 ? update(0, out, at) : at;
    this.signalled = size;
    this.next = undefined;
    this.emptying = false;
    return update(size, out, start);
  }
}

function update(size: number, out: Buffer, at: number): number {
  return writeInteger(size, Form.SIZE_UPDATE, Form.SIZE_UPDATE_MASK, out, at);
}

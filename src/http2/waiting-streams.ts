import type { Stream } from "./stream.ts";

/**
 * Streams of a connection that wait for room to write, first come, first served. Linked through the streams themselves, for the
 * reason that StreamTable gives.
 *
 * Invariant: a stream is in the list exactly while its `isWaiting` is true.
 */
export class WaitingStreams {
  private first: Stream | undefined = undefined;
  private last: Stream | undefined = undefined;
  size = 0;

  /** Puts a stream at the end, unless it waits already. */
  add(stream: Stream): void {
    if (stream.isWaiting) return;
    stream.isWaiting = true;
    stream.waitsAfter = this.last;
    if (this.last === undefined) this.first = stream;
    else this.last.waitsBefore = stream;
    this.last = stream;
    this.size++;
  }

  delete(stream: Stream): void {
    if (!stream.isWaiting) return;
    const { waitsAfter, waitsBefore } = stream;
    if (waitsAfter === undefined) this.first = waitsBefore;
    else waitsAfter.waitsBefore = waitsBefore;
    if (waitsBefore === undefined) this.last = waitsAfter;
    else waitsBefore.waitsAfter = waitsAfter;
    stream.isWaiting = false;
    stream.waitsAfter = undefined;
    stream.waitsBefore = undefined;
    this.size--;
  }

  /** Takes the one that has waited longest. */
  shift(): Stream | undefined {
    const stream = this.first;
    if (stream !== undefined) this.delete(stream);
    return stream;
  }

  clear(): void {
    while (this.shift() !== undefined);
  }
}

import { systemClock } from "./clock.ts";

const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
let rested = 0;

/**
 * Has this thread sleep for `ms` milliseconds, which may be less than one: finer than a timer, and nothing else of the thread
 * runs meanwhile. The system may add some 0.1 ms.
 */
export function rest(ms: number): void {
  const begun = systemClock.now();
  Atomics.wait(never, 0, 0, ms);
  rested += systemClock.now() - begun;
}

/** Milliseconds that this thread has rested: Node takes them for time at work. */
export function restedTime(): number {
  return rested;
}

import type { Clock, Timer } from "./clock.ts";

/**
 * A timer for what a peer has to say in time. Where this process was held up, it may lie in the socket already when the time is over:
 * sockets are read between one timer and the next, so `judge` runs in the next one.
 */
export function setPatience(clock: Clock, ms: number, judge: () => void): Timer {
  let timer = clock.setTimer(ms, () => {
    timer = clock.setTimer(0, judge);
  });
  return { cancel: () => timer.cancel() };
}

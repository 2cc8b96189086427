import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Timer, Timers } from "../core/clock.ts";
import { transportOf } from "./reset.ts";

/** Milliseconds between two looks. */
const EVERY = 5000;

/**
 * Notices that the peer of a connection is gone after it has ended its half. There is nothing left to read, and Linux tells of the
 * reset only who writes: nothing at all is enough. Where the peer has gone without a word keep-alive finds out first.
 *
 * The socket then breaks as one does that is written to: with `error` and `close`.
 */
export function watchHalfOpen(socket: Duplex, timers: Timers): void {
  if (!(socket instanceof Socket)) return;
  let timer: Timer | undefined;
  const look = (): void => {
    if (!socket.writable) return;
    // Octets that wait to leave tell by themselves.
    if (socket.writableLength === 0) transportOf(socket).write("");
    begin();
  };
  const begin = (): void => {
    timer = timers.setTimer(EVERY, look);
  };
  socket.once("end", begin);
  socket.once("close", () => timer?.cancel());
}

import { SettingId } from "../../src/http2/settings.ts";
import type { RawPeer } from "./raw-peer.ts";

const DEFAULT_WINDOW = 65_535;
const FRAME = 16_384;

/** Sends DATA as far as the other side's windows allow, as a lawful peer does. One for each connection. */
export class Pourer {
  private readonly peer: RawPeer;
  private readonly sent = new Map<number, number>();
  private total = 0;

  constructor(peer: RawPeer) {
    this.peer = peer;
  }

  /** Octets that were sent on a stream. */
  sentOn(stream: number): number {
    return this.sent.get(stream) ?? 0;
  }

  /** Octets that may be sent on a stream now. */
  room(stream: number): number {
    let initial = DEFAULT_WINDOW;
    let connection = DEFAULT_WINDOW;
    let own = 0;
    for (const message of this.peer.received) {
      if (message.kind === "settings") initial = message.values.get(SettingId.INITIAL_WINDOW_SIZE) ?? initial;
      else if (message.kind === "window" && message.stream === 0) connection += message.increment;
      else if (message.kind === "window" && message.stream === stream) own += message.increment;
    }
    return Math.min(connection - this.total, initial + own - this.sentOn(stream));
  }

  /** Sends as much of `octets` as there is room for now; returns how many. END_STREAM after the last where `end`. */
  pour(stream: number, octets: Buffer, end = false): number {
    const most = Math.min(octets.length, Math.max(0, this.room(stream)));
    for (let at = 0; at < most; at += FRAME) {
      const to = Math.min(most, at + FRAME);
      this.peer.data(stream, octets.subarray(at, to), end && to === octets.length);
    }
    this.total += most;
    this.sent.set(stream, this.sentOn(stream) + most);
    return most;
  }

  /** Sends all of `octets`, as room comes; gives up when there was none for `patience` milliseconds. Returns how many went. */
  async pourAll(stream: number, octets: Buffer, end = false, patience = 2000): Promise<number> {
    let at = 0;
    let stuck = performance.now();
    while (at < octets.length && performance.now() - stuck < patience) {
      const went = this.pour(stream, octets.subarray(at), end);
      at += went;
      if (went > 0) stuck = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return at;
  }
}

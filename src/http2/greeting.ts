import type { Clock, Timer } from "../core/clock.ts";
import { DEFAULT_WINDOW } from "./frame.ts";
import { HTTP1_ANSWER, speaksHttp1 } from "./http1.ts";
import type { Http2Limits } from "./limits.ts";
import type { Role } from "./receiver.ts";
import type { Sender } from "./sender.ts";
import { SettingId } from "./settings.ts";

/** Milliseconds that a server lets its client speak first. */
const PATIENCE = 100;

/** What a side says of itself; see `ConnectionOptions`. */
export interface Announced {
  readonly role: Role;
  readonly limits: Http2Limits;
  readonly announce: boolean;
  readonly extendedConnect?: boolean | undefined;
}

/**
 * What a side begins with, RFC 9113 §3.4. A client says it at once. A server waits for the client's first octets, which come at
 * once as well: a client of another protocol is told in its own then, and would not see it behind frames. One that keeps silent
 * is not waited for.
 */
export class Greeting {
  /** It has been said: frames may follow. */
  said = false;
  private readonly sender: Sender;
  private readonly greet: () => void;
  private readonly timer: Timer | undefined;

  constructor(sender: Sender, clock: Clock, options: Announced) {
    this.sender = sender;
    this.greet = () => greet(sender, options);
    if (options.role === "client") this.say();
    else this.timer = clock.setTimer(PATIENCE, () => this.say());
  }

  say(): void {
    if (this.said) return;
    this.said = true;
    this.stop();
    this.greet();
  }

  /** Says it to a client whose first octets have come; false to one of HTTP/1, which has been told so. */
  answer(first: Buffer): boolean {
    if (speaksHttp1(first)) this.sender.raw(HTTP1_ANSWER);
    else this.say();
    return this.said;
  }

  stop(): void {
    this.timer?.cancel();
  }
}

/** Preface, SETTINGS, and the rest of the connection's window. */
function greet(sender: Sender, { role, limits, announce, extendedConnect }: Announced): void {
  if (role === "client") sender.preface();
  const settings: [id: number, value: number][] = [
    [SettingId.HEADER_TABLE_SIZE, limits.headerTableSize],
    [SettingId.INITIAL_WINDOW_SIZE, limits.streamWindow],
    [SettingId.MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize],
    role === "client" ? [SettingId.ENABLE_PUSH, 0] : [SettingId.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams],
  ];
  if (extendedConnect === true) settings.push([SettingId.ENABLE_CONNECT_PROTOCOL, 1]);
  if (announce) settings.push([SettingId.OUTRIGGER, 1]);
  sender.settings(settings);
  if (limits.connectionWindow > DEFAULT_WINDOW) sender.windowUpdate(0, limits.connectionWindow - DEFAULT_WINDOW);
}

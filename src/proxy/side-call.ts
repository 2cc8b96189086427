import type { Deadline } from "../core/deadlines.ts";
import type { Call, Failure, Outcome } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { ErrorCode } from "../http2/errors.ts";
import { Attempt, type AttemptHost } from "./attempt.ts";
import { RequestBody } from "./request-body.ts";
import type { ExchangeServices } from "./services.ts";
import type { Destination } from "./target.ts";
import type { WaitingRoom } from "./waiting-room.ts";

/**
 * A call that is made beside those that are carried: it has no caller's stream, and one attempt, which has a time.
 *
 * Invariant: once it is over it has left the room and has no stream, timer or octet left.
 */
export abstract class SideCall implements AttemptHost {
  readonly call: Call;
  readonly services: ExchangeServices;
  readonly body: RequestBody;
  readonly fromSidecar = false;
  readonly hops = 0;
  headSent = false;
  protected readonly attempt: Attempt;
  private readonly room: WaitingRoom;
  private readonly patience: Deadline;
  protected over = false;

  /** `ended`: its request is whole. `timeout`: milliseconds for all of it. `room`: has been entered, and is left when it is over. */
  constructor(
    to: Destination,
    call: Call,
    ended: boolean,
    timeout: number,
    room: WaitingRoom,
    services: ExchangeServices,
  ) {
    this.services = services;
    this.call = call;
    this.room = room;
    this.body = new RequestBody(room, ended, { release: () => {} });
    this.patience = services.deadlines.arm(services.loop.now() + timeout, () => this.late());
    this.attempt = new Attempt(to, this);
  }

  /** Its time is over. */
  protected abstract late(): void;

  /** Leaves nothing behind; false where it was over already. */
  protected finish(): boolean {
    if (this.over) return false;
    this.over = true;
    this.services.deadlines.disarm(this.patience);
    this.attempt.stop(ErrorCode.CANCEL);
    this.body.forget();
    this.room.leave();
    return true;
  }

  // --- what its attempt tells ---

  abstract passData(buffer: Buffer, start: number, end: number): number;
  abstract answered(outcome: Outcome, attempt: Attempt, last: Head | undefined): void;
  abstract failed(what: Failure): void;

  onWait(): boolean {
    return !this.over;
  }

  onSending(): boolean {
    return !this.over;
  }

  expired(): undefined {
    return undefined;
  }

  passHead(_head: Head): void {}
  passInformational(): void {}
  passTrailers(_head: Head): void {}
  upstreamGone(): void {}
}

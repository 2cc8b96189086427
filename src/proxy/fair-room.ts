import { FairQueue, type Queued } from "../core/fair-queue.ts";
import { type Call, type Failure, failure } from "../http/call.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** Whoever may have to wait with a call. */
export interface Guest {
  readonly call: Pick<Call, "caller">;
  /** There is no place for it. Where it has one it leaves before this returns. */
  refuse(why: Failure): void;
}

/** A guest's place in the room. */
export type Seat = Queued<Guest>;

/**
 * The room of the calls that wait for anything, of all callers. One that is alone may take all of it. Once it is full, a caller that has
 * fewer waiting than another still gets a place: of whoever has most the newest call goes. So it matters how many are yours, and not how
 * many others have.
 *
 * Invariant: a seat that was given is left once.
 */
export class FairRoom extends WaitingRoom {
  private readonly guests = new FairQueue<Guest>();
  /** Calls that had a place and made room for another caller's. */
  gaveWay = 0;

  /** Who has calls that wait. */
  get callers(): number {
    return this.guests.sharers;
  }

  /** Gives `guest` a place; undefined where there is none, and it has been refused. */
  seat(guest: Guest): Seat | undefined {
    const { caller } = guest.call;
    const rival = this.calls < this.limits.calls ? undefined : this.guests.rival(caller);
    if (rival !== undefined) {
      this.gaveWay++;
      this.turnAway(rival);
    }
    if (this.enter()) return this.guests.add(guest, caller);
    this.turnAway(guest);
    return undefined;
  }

  stand(seat: Seat): void {
    if (this.guests.delete(seat)) this.leave();
  }

  private turnAway(guest: Guest): void {
    const own = this.guests.sizeOf(guest.call.caller);
    const detail = `${this.calls} calls are waiting already, ${own} of this caller`;
    guest.refuse(failure("QUEUE_FULL", detail, { unprocessed: true }));
  }
}

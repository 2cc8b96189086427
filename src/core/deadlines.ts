import type { Clock, Timer, Timers } from "./clock.ts";

/** Milliseconds of a slot: how late a deadline may be noticed. Never early. */
const TICK = 8;
/** Slots of the wheel; a deadline further away goes round more than once. */
const SLOTS = 512;

/** One deadline; owned by whoever armed it, linked into its slot while it is armed. */
export interface Deadline {
  due: number;
  slot: number;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  /** Called once, not before `due`, unless disarmed. */
  expire: () => void;
}

/**
 * Deadlines of many calls at the price of a list entry each: a hashed wheel, turned by one timer that runs only while
 * there is a deadline. Arming and disarming take no time worth measuring and leave nothing behind.
 *
 * Invariant: a deadline is in exactly one slot's list while `slot >= 0`, in none otherwise.
 */
export class Deadlines {
  private readonly clock: Clock;
  private readonly slots: (Deadline | undefined)[] = Array.from({ length: SLOTS });
  private count = 0;
  private turned: number;
  private timer: Timer | undefined = undefined;

  constructor(clock: Clock) {
    this.clock = clock;
    this.turned = Math.floor(clock.now() / TICK);
  }

  get armed(): number {
    return this.count;
  }

  /** Arms a deadline at `due` milliseconds of the clock. */
  arm(due: number, expire: () => void): Deadline {
    if (this.count === 0) this.turned = Math.floor(this.clock.now() / TICK) - 1;
    // What is due already, or was before the wheel got here, is found by its next turn.
    const slot = Math.max(Math.ceil(due / TICK), this.turned + 1) % SLOTS;
    const head = this.slots[slot];
    const deadline: Deadline = { due, slot, previous: undefined, next: head, expire };
    if (head !== undefined) head.previous = deadline;
    this.slots[slot] = deadline;
    if (this.count++ === 0) this.timer = this.clock.setTimer(TICK, () => this.turn());
    return deadline;
  }

  /** The same as timers, by `time` that tells milliseconds of the clock: for what can do with timers of any kind. */
  timers(time: { now(): number }): Timers {
    return {
      now: () => time.now(),
      setTimer: (ms, task) => {
        const deadline = this.arm(time.now() + ms, task);
        return { cancel: () => this.disarm(deadline) };
      },
    };
  }

  /** Idempotent. */
  disarm(deadline: Deadline): void {
    if (deadline.slot < 0) return;
    if (deadline.previous === undefined) this.slots[deadline.slot] = deadline.next;
    else deadline.previous.next = deadline.next;
    if (deadline.next !== undefined) deadline.next.previous = deadline.previous;
    deadline.slot = -1;
    deadline.previous = undefined;
    deadline.next = undefined;
    if (--this.count === 0) {
      this.timer?.cancel();
      this.timer = undefined;
    }
  }

  private turn(): void {
    this.timer = undefined;
    const now = this.clock.now();
    const reached = Math.floor(now / TICK);
    const from = Math.max(this.turned + 1, reached - SLOTS + 1);
    this.turned = reached;
    const due: Deadline[] = [];
    for (let tick = from; tick <= reached; tick++) {
      for (let at = this.slots[tick % SLOTS]; at !== undefined; at = at.next) if (at.due <= now) due.push(at);
    }
    for (const deadline of due) {
      if (deadline.slot < 0) continue;
      this.disarm(deadline);
      deadline.expire();
    }
    if (this.count > 0 && this.timer === undefined) this.timer = this.clock.setTimer(TICK, () => this.turn());
  }
}

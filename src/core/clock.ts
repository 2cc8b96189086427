/** A pending call of a timer; `cancel` is idempotent and does nothing once the timer has run. */
export interface Timer {
  cancel(): void;
}

/** Time, and calls at a later one. */
export interface Timers {
  /** Milliseconds since an arbitrary origin, never going back. */
  now(): number;
  /** Runs `task` once, no sooner than `ms` milliseconds from now. An unreferenced timer does not keep the process up. */
  setTimer(ms: number, task: () => void): Timer;
}

/**
 * The only source of time in the program. Everything that waits or measures takes a Clock, so that a test can
 * move time by hand; `Date.now`, `performance.now` and `setTimeout` are banned elsewhere by lint.
 */
export interface Clock extends Timers {
  /** Milliseconds since the Unix epoch, for what people and other machines read. */
  wall(): number;
}

let armed = 0;

/** Timers of the system clock that have neither run nor been cancelled: a number that must not grow with the calls served. */
export function armedTimers(): number {
  return armed;
}

/** The real clock of the machine. Its timers do not keep the process alive: listeners do. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimer(ms, task) {
    let waiting = true;
    const settle = (): boolean => {
      const was = waiting;
      if (was) armed--;
      waiting = false;
      return was;
    };
    const handle = setTimeout(() => {
      settle();
      task();
    }, ms);
    handle.unref();
    armed++;
    return {
      cancel() {
        if (settle()) clearTimeout(handle);
      },
    };
  },
};

/** Resolves after `ms` milliseconds and keeps the process alive meanwhile: for commands that wait with nothing else open. */
export function stay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

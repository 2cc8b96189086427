/** A sum over a moving stretch of time, that turns in steps. */
export class RollingCount {
  private readonly steps: Uint32Array;
  private readonly width: number;
  private last = 0;
  sum = 0;

  /** `window`: how far it looks back, in milliseconds. `steps`: in how many parts what is past is forgotten. */
  constructor(window: number, steps = 10) {
    this.steps = new Uint32Array(steps);
    this.width = window / steps;
  }

  /** `now`: milliseconds of the clock. */
  add(now: number): void {
    this.turn(now);
    const at = this.last % this.steps.length;
    this.steps[at] = (this.steps[at] ?? 0) + 1;
    this.sum++;
  }

  /** Forgets what is too long ago. */
  turn(now: number): void {
    const { steps } = this;
    const step = Math.floor(now / this.width);
    if (step === this.last) return;
    for (let at = Math.max(this.last + 1, step - steps.length + 1); at <= step; at++) {
      this.sum -= steps[at % steps.length] ?? 0;
      steps[at % steps.length] = 0;
    }
    this.last = step;
  }
}

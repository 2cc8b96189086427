/** What is left of a rate: so many at once, and as many a second after that. Full at first, and filled as it is asked. */
export class TokenBucket {
  private tokens = Number.POSITIVE_INFINITY;
  private at = 0;

  /** Takes one where there is one. `rate`: a second; it and `burst` may have changed meanwhile. `now`: milliseconds of the clock. */
  take(rate: number, burst: number, now: number): boolean {
    this.tokens = Math.min(burst, this.tokens + ((now - this.at) / 1000) * rate);
    this.at = now;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}

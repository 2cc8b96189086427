/** What is remembered of a token. */
export interface Remembered {
  /** Milliseconds since the Unix epoch from which on it does not count. */
  readonly until: number;
  /** Octets of what it holds. */
  readonly size: number;
}

/** Tokens that are remembered: some thousand users of one service, each with a token of 1 KiB. */
export const MAX_TOKENS = 10_000;
/** Octets of all of them together, claims and all. */
const MAX_OCTETS = 16 * 1024 * 1024;

/**
 * What tokens came to, by their exact text. Who comes with more tokens than it holds drives out the oldest, and those are verified
 * again.
 */
export class TokenCache<T extends Remembered> {
  private readonly entries = new Map<string, T>();
  private octets = 0;

  get size(): number {
    return this.entries.size;
  }

  get(token: string, wall: number): T | undefined {
    const found = this.entries.get(token);
    if (found === undefined || wall < found.until) return found;
    this.delete(token, found);
    return undefined;
  }

  set(token: string, entry: T): void {
    const before = this.entries.get(token);
    if (before !== undefined) this.delete(token, before);
    this.entries.set(token, entry);
    this.octets += token.length + entry.size;
    for (const [oldest, old] of this.entries) {
      if (this.entries.size <= MAX_TOKENS && this.octets <= MAX_OCTETS) return;
      this.delete(oldest, old);
    }
  }

  clear(): void {
    this.entries.clear();
    this.octets = 0;
  }

  private delete(token: string, entry: T): void {
    this.entries.delete(token);
    this.octets -= token.length + entry.size;
  }
}

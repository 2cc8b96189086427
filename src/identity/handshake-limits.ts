/** How many handshakes there may be, by name. */
export interface HandshakeLimits {
  /** Under way at once, from everybody: one more takes the place of the oldest one of whoever has the most. */
  readonly atOnce: number;
  /** Under way at once from one address: one more takes the place of the oldest one. */
  readonly perSource: number;
  /** A second from one address, beyond a burst of twice as many: one more is closed at once. */
  readonly rate: number;
  /** Milliseconds from the accepted connection to the end of the handshake. */
  readonly timeout: number;
}

/** The reasons are in docs/limits.md. */
export const defaultHandshakeLimits: HandshakeLimits = { atOnce: 256, perSource: 64, rate: 100, timeout: 5000 };

/** Addresses whose handshakes are counted; beyond, those that have none under way are forgotten. */
const MAX_SOURCES = 4096;

interface Source {
  /** Handshakes under way, the oldest one first. */
  readonly underWay: Set<UnderWay>;
  tokens: number;
  /** Milliseconds of the clock. */
  at: number;
}

/** A handshake that has begun. */
interface UnderWay {
  /** It has to make room for another one. */
  readonly giveWay: () => void;
}

/**
 * Handshakes under way and of late, by the address that they come from.
 *
 * A handshake that means it takes milliseconds. Those that are left lying are the oldest ones, and an attacker has more of them
 * than others: whoever comes finds a place, and they lose theirs.
 */
export class HandshakeCount {
  private readonly sources = new Map<string, Source>();
  /** Those of `sources` that have some under way. */
  private readonly active = new Set<Source>();
  private underWay = 0;

  /** Lets another one begin; returns what ends it, or undefined where it may not, for its source has come too often. */
  begin(address: string, limits: HandshakeLimits, now: number, giveWay: () => void): (() => void) | undefined {
    const burst = limits.rate * 2;
    const source = this.sources.get(address) ?? this.add(address, burst, now);
    source.tokens = Math.min(burst, source.tokens + ((now - source.at) / 1000) * limits.rate);
    source.at = now;
    if (source.tokens < 1) return undefined;
    source.tokens--;
    if (source.underWay.size >= limits.perSource) this.makeRoom(source);
    else if (this.underWay >= limits.atOnce) this.makeRoom(this.largest());
    const one = { giveWay };
    source.underWay.add(one);
    this.active.add(source);
    this.underWay++;
    return () => this.end(source, one);
  }

  get size(): number {
    return this.underWay;
  }

  private end(source: Source, one: UnderWay): void {
    if (!source.underWay.delete(one)) return;
    if (source.underWay.size === 0) this.active.delete(source);
    this.underWay--;
  }

  private largest(): Source | undefined {
    let found: Source | undefined;
    for (const source of this.active)
      if (found === undefined || source.underWay.size > found.underWay.size) found = source;
    return found;
  }

  private makeRoom(source: Source | undefined): void {
    for (const oldest of source?.underWay ?? []) {
      if (source !== undefined) this.end(source, oldest);
      oldest.giveWay();
      return;
    }
  }

  private add(address: string, burst: number, now: number): Source {
    if (this.sources.size >= MAX_SOURCES)
      for (const [known, { underWay }] of this.sources) if (underWay.size === 0) this.sources.delete(known);
    const source = { underWay: new Set<UnderWay>(), tokens: burst, at: now };
    this.sources.set(address, source);
    return source;
  }
}

import { TokenBucket } from "../core/token-bucket.ts";

/** How many handshakes there may be, by name. */
export interface HandshakeLimits {
  /** Under way at once, from everybody: one more takes the place of the oldest one of whoever has the most. */
  readonly atOnce: number;
  /** Under way at once from one address: one more takes the place of the oldest one. */
  readonly perSource: number;
  /** A second from one address, beyond a burst of twice as many: one more is closed at once. */
  readonly rate: number;
  /** The same of all addresses together of which none has been completed yet. */
  readonly strangers: number;
  /** Milliseconds from the accepted connection to the end of the handshake. */
  readonly timeout: number;
}

/** The reasons are in docs/limits.md. */
export const defaultHandshakeLimits: HandshakeLimits = {
  atOnce: 256,
  perSource: 64,
  rate: 100,
  strangers: 500,
  timeout: 5000,
};

/** Addresses whose handshakes are counted; beyond, those that have none under way are forgotten, strangers before others. */
const MAX_SOURCES = 4096;

interface Source {
  readonly bucket: TokenBucket;
  /** Handshakes under way, the oldest one first. */
  readonly underWay: Set<UnderWay>;
  /** Somebody there has proven who they are. */
  isKnown: boolean;
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
 * than others: whoever comes finds a place, and they lose theirs. An attacker with many addresses is bounded with all other strangers,
 * and takes nothing from those who have been here before.
 */
export class HandshakeCount {
  private readonly sources = new Map<string, Source>();
  /** Those of `sources` that have some under way. */
  private readonly active = new Set<Source>();
  private underWay = 0;
  private readonly strangers = new TokenBucket();

  /** Lets another one begin; returns what ends it, or undefined where it may not, for its source has come too often. */
  begin(address: string, limits: HandshakeLimits, now: number, giveWay: () => void): (() => void) | undefined {
    const source = this.sources.get(address) ?? this.add(address);
    if (!take(source.bucket, limits.rate, now)) return undefined;
    if (source.underWay.size >= limits.perSource) this.makeRoom(source);
    else if (this.underWay >= limits.atOnce) this.makeRoom(this.largest());
    const one = { giveWay };
    source.underWay.add(one);
    this.active.add(source);
    this.underWay++;
    return () => this.end(source, one);
  }

  /** Whether what has begun may go on with a handshake, which costs us a signature. */
  mayProve(address: string, limits: HandshakeLimits, now: number): boolean {
    return this.sources.get(address)?.isKnown === true || take(this.strangers, limits.strangers, now);
  }

  /** A handshake has been completed, by one who is let in. */
  proven(address: string): void {
    const source = this.sources.get(address);
    if (source !== undefined) source.isKnown = true;
  }

  /** Ends the oldest one of whoever has the most, for a connection of another kind; false where none is under way. */
  giveWay(): boolean {
    const source = this.largest();
    this.makeRoom(source);
    return source !== undefined;
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

  private add(address: string): Source {
    if (this.sources.size >= MAX_SOURCES) this.forget(({ underWay, isKnown }) => underWay.size === 0 && !isKnown);
    if (this.sources.size >= MAX_SOURCES) this.forget(({ underWay }) => underWay.size === 0);
    const source = { bucket: new TokenBucket(), underWay: new Set<UnderWay>(), isKnown: false };
    this.sources.set(address, source);
    return source;
  }

  private forget(which: (source: Source) => boolean): void {
    for (const [address, source] of this.sources) if (which(source)) this.sources.delete(address);
  }
}

/** As many as come in two seconds may come at once. */
function take(bucket: TokenBucket, rate: number, now: number): boolean {
  return bucket.take(rate, rate * 2, now);
}

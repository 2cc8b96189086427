/** How many handshakes there may be, by name. A connection over one of them is closed at once. */
export interface HandshakeLimits {
  /** Under way at once, from everybody. */
  readonly atOnce: number;
  /** Under way at once from one address. */
  readonly perSource: number;
  /** A second from one address, beyond a burst of twice as many. */
  readonly rate: number;
  /** Milliseconds from the accepted connection to the end of the handshake. */
  readonly timeout: number;
}

/** The reasons are in docs/limits.md. */
export const defaultHandshakeLimits: HandshakeLimits = { atOnce: 256, perSource: 64, rate: 100, timeout: 5000 };

/** Addresses whose handshakes are counted; beyond, those that have none under way are forgotten. */
const MAX_SOURCES = 4096;

interface Source {
  underWay: number;
  tokens: number;
  /** Milliseconds of the clock. */
  at: number;
}

/** Handshakes under way and of late, by the address that they come from. */
export class HandshakeCount {
  private readonly sources = new Map<string, Source>();
  private underWay = 0;

  /** Whether another one may begin; then it counts until `end`. */
  begin(address: string, limits: HandshakeLimits, now: number): boolean {
    if (this.underWay >= limits.atOnce) return false;
    const burst = limits.rate * 2;
    const source = this.sources.get(address) ?? this.add(address, burst, now);
    source.tokens = Math.min(burst, source.tokens + ((now - source.at) / 1000) * limits.rate);
    source.at = now;
    if (source.underWay >= limits.perSource || source.tokens < 1) return false;
    source.tokens--;
    source.underWay++;
    this.underWay++;
    return true;
  }

  end(address: string): void {
    const source = this.sources.get(address);
    if (source === undefined) return;
    source.underWay--;
    this.underWay--;
  }

  get size(): number {
    return this.underWay;
  }

  private add(address: string, burst: number, now: number): Source {
    if (this.sources.size >= MAX_SOURCES)
      for (const [known, { underWay }] of this.sources) if (underWay === 0) this.sources.delete(known);
    const source = { underWay: 0, tokens: burst, at: now };
    this.sources.set(address, source);
    return source;
  }
}

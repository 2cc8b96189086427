import type { X509Certificate } from "node:crypto";
import { certificateBlocks, readCertificates } from "./pem.ts";

/** Authorities of trust domains: an authority speaks for the ids of its own domain and for no others. */
export class Trust {
  private readonly domains: ReadonlyMap<string, readonly X509Certificate[]>;
  /** All of them, each once. */
  readonly pem: readonly string[];

  /** `bundles`: PEM texts by trust domain. Throws where a certificate cannot be read. */
  constructor(bundles: Iterable<readonly [trustDomain: string, pem: string]>) {
    const domains = new Map<string, X509Certificate[]>();
    const blocks = new Set<string>();
    for (const [domain, pem] of bundles) {
      domains.set(domain, [...(domains.get(domain) ?? []), ...readCertificates(pem)]);
      for (const block of certificateBlocks(pem)) blocks.add(block);
    }
    this.domains = domains;
    this.pem = [...blocks];
  }

  /** The authorities of a domain; undefined where it is not trusted. */
  of(trustDomain: string): readonly X509Certificate[] | undefined {
    return this.domains.get(trustDomain);
  }

  /** Whether TLS' own verdict leaves open which domain an authority belongs to. */
  get isShared(): boolean {
    return this.domains.size > 1;
  }
}

/** Authorities that a source no longer has, and that are trusted until a time all the same, so that old and new overlap. */
export class RetiredAuthorities {
  /** PEM block to trust domain and wall-clock milliseconds. */
  private readonly blocks = new Map<string, { readonly trustDomain: string; readonly until: number }>();

  /** What was trusted becomes what is trusted now: whatever is no longer in it retires. */
  change(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>, until: number): void {
    const kept = new Set([...after].flatMap(([domain, pem]) => certificateBlocks(pem).map((block) => domain + block)));
    for (const [trustDomain, pem] of before)
      for (const block of certificateBlocks(pem))
        if (!kept.has(trustDomain + block)) this.blocks.set(block, { trustDomain, until });
    for (const [block, { trustDomain }] of this.blocks) if (kept.has(trustDomain + block)) this.blocks.delete(block);
  }

  /** Lets go of those whose time is over; true where there were any. */
  expire(now: number): boolean {
    const before = this.blocks.size;
    for (const [block, { until }] of this.blocks) if (until <= now) this.blocks.delete(block);
    return this.blocks.size < before;
  }

  *bundles(): IterableIterator<readonly [string, string]> {
    for (const [block, { trustDomain }] of this.blocks) yield [trustDomain, block];
  }

  /** Wall-clock milliseconds when the next one expires. */
  get nextAt(): number {
    return Math.min(...[...this.blocks.values()].map(({ until }) => until));
  }
}

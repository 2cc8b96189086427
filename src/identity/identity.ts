import type { Logger } from "pino";
import { Backoff } from "../core/backoff.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { Watch } from "../core/watch.ts";
import { type CredentialRules, Credentials } from "./credentials.ts";
import type { IdentitySource, Material, MaterialTaker } from "./material.ts";
import { RetiredAuthorities } from "./trust.ts";

/** What an identity is kept up with. */
export interface IdentityOptions {
  readonly rules: CredentialRules;
  /** Milliseconds for which an authority that the source no longer has is still trusted. */
  readonly overlap: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Share of a certificate's life after which another one is asked for, and up to which more the askers are spread. */
const RENEW_AT = 2 / 3;
const RENEW_SPREAD = 1 / 20;
/** Share of its life from which on a certificate that nobody has replaced is a warning. */
const LATE_AT = 5 / 6;
/** Milliseconds between two looks at the wall clock, which may be set at any time. */
const LOOK = 30_000;

/**
 * Who this sidecar is for others, renewed for as long as it runs.
 *
 * Invariants:
 * - `credentials` changes whole: who asks at the beginning of a handshake has all of one or all of the other;
 * - what a source gives and cannot be used changes nothing;
 * - a certificate that has expired is in `credentials` no longer than until somebody asks, or `LOOK` passes.
 */
export class Identity implements MaterialTaker {
  /** Told of whenever it changes; undefined before the first one, and once the last has expired. */
  readonly current = new Watch<Credentials | undefined>(undefined);
  /** Told when somebody who was trusted may be no more: a list of revoked certificates changed, or an authority is let go. */
  readonly narrowed = new Watch<Credentials | undefined>(undefined);
  /** What is wrong now; undefined while nothing is. */
  problem: string | undefined = undefined;
  private readonly source: IdentitySource;
  private readonly options: IdentityOptions;
  private readonly retired = new RetiredAuthorities();
  private readonly backoff: Backoff;
  private material: Material | undefined = undefined;
  private renewAt = Number.POSITIVE_INFINITY;
  /** Milliseconds of the clock, which nobody sets, before which the source is not asked again. */
  private pauseEnds = Number.NEGATIVE_INFINITY;
  private timer: Timer | undefined = undefined;
  private closed = false;
  private expiredAt: number | undefined = undefined;
  /** Why material that the source gave cannot be used. */
  private mismatch: string | undefined = undefined;
  private readonly firstWord: Promise<void>;
  private heard: () => void = () => {};

  constructor(source: IdentitySource, options: IdentityOptions) {
    this.source = source;
    this.options = options;
    this.backoff = new Backoff({ base: 1000, cap: 60_000, random: options.random });
    this.firstWord = new Promise((resolve) => {
      this.heard = resolve;
    });
  }

  /**
   * Resolves with the source's first word. Rejects where that is no identity, or one that is not ours; that a remote source
   * cannot be reached yet is not the end: it is asked for as long as it takes.
   */
  async start(): Promise<void> {
    await this.source.start(this);
    await this.firstWord;
    if (this.current.current === undefined && this.mismatch !== undefined)
      throw new Error(`no identity from mtls.source.${this.kind}: ${this.mismatch}`);
  }

  get kind(): IdentitySource["kind"] {
    return this.source.kind;
  }

  /** What handshakes are made with now; undefined where there is nothing valid. */
  get credentials(): Credentials | undefined {
    const { current } = this.current;
    if (current !== undefined && this.options.clock.wall() >= current.own.notAfter) this.look();
    return this.current.current;
  }

  /** When the certificate ends, or ended, in milliseconds since the Unix epoch. */
  get notAfter(): number | undefined {
    return this.current.current?.own.notAfter ?? this.expiredAt;
  }

  /** What people should know although calls are taken: the certificate will end soon, and no other one has come. */
  get warning(): string | undefined {
    const own = this.current.current?.own;
    if (own === undefined) return undefined;
    const late = own.notBefore + (own.notAfter - own.notBefore) * LATE_AT;
    if (this.options.clock.wall() < late) return undefined;
    const why = this.problem === undefined ? "" : `: ${this.problem}`;
    return `the certificate ends at ${new Date(own.notAfter).toISOString()} and has not been renewed${why}`;
  }

  /** Sessions and tickets of before are void from now on. */
  voidSessions(): void {
    if (this.material !== undefined && this.current.current !== undefined) this.put(this.material);
  }

  async close(): Promise<void> {
    this.closed = true;
    this.heard();
    this.timer?.cancel();
    await this.source.close();
  }

  take(material: Material): void {
    if (this.closed) return;
    if (sameMaterial(material, this.material)) {
      this.recovered();
      return;
    }
    const { clock, log, overlap } = this.options;
    const before = this.material;
    const wall = clock.wall();
    const made = Credentials.make(material, this.options.rules, [], wall);
    if (typeof made === "string") {
      this.mismatch = made;
      this.failed(made);
      return;
    }
    if (before !== undefined) {
      const domain = made.own.id.trustDomain;
      this.retired.change(bundlesOf(before, domain), bundlesOf(material, domain), wall + overlap);
    }
    this.put(material);
    if (before !== undefined && before.revoked !== material.revoked) this.narrowed.set(this.current.current);
    const { own } = made;
    this.material = material;
    this.renewAt = own.notBefore + (own.notAfter - own.notBefore) * (RENEW_AT + RENEW_SPREAD * this.options.random());
    this.backoff.reset();
    this.pauseEnds = Number.NEGATIVE_INFINITY;
    this.problem = undefined;
    const facts = { identity: own.id.text, not_after: new Date(own.notAfter).toISOString(), source: this.kind };
    log.info(facts, before === undefined ? "this sidecar has its identity" : "the certificate was replaced");
    this.heard();
    this.arm();
  }

  failed(why: string): void {
    if (this.closed) return;
    const isNews = this.problem !== why;
    this.problem = why;
    this.heard();
    if (isNews) this.options.log.warn({ source: this.kind }, `no new certificate: ${why}`);
  }

  /** What is in force is what the source has now, whatever it said in between. */
  private recovered(): void {
    if (this.problem === undefined) return;
    this.problem = undefined;
    this.options.log.info({ source: this.kind }, "the source of the certificate is well again");
  }

  private put(material: Material): void {
    const { clock, log, rules } = this.options;
    const made = Credentials.make(material, rules, this.retired.bundles(), clock.wall());
    if (typeof made === "string") log.error(`the certificate cannot be used any more: ${made}`);
    else this.current.set(made);
  }

  private look(): void {
    if (this.closed) return;
    const { clock, log } = this.options;
    const wall = clock.wall();
    const { current } = this.current;
    if (current !== undefined && wall >= current.own.notAfter) {
      this.expiredAt = current.own.notAfter;
      this.problem ??= "nothing took its place";
      log.error(
        { identity: current.own.id.text },
        `the certificate expired at ${new Date(this.expiredAt).toISOString()}, no TLS connection is made: ${this.problem}`,
      );
      this.current.set(undefined);
    } else if (current === undefined && this.material !== undefined && wall < (this.expiredAt ?? 0)) {
      log.info("the certificate is good again: the wall clock was set back");
      this.problem = undefined;
      this.put(this.material);
    }
    if (this.retired.expire(wall) && this.material !== undefined && this.current.current !== undefined) {
      this.put(this.material);
      this.narrowed.set(this.current.current);
    }
    if (wall >= this.renewAt && clock.now() >= this.pauseEnds) {
      this.pauseEnds = clock.now() + 1000 + this.backoff.next();
      this.source.renew();
    }
    this.arm();
  }

  private arm(): void {
    if (this.closed) return;
    const { clock } = this.options;
    const due = Math.min(this.retired.nextAt, this.current.current?.own.notAfter ?? Number.POSITIVE_INFINITY);
    const asking = Math.max(this.renewAt - clock.wall(), this.pauseEnds - clock.now());
    this.timer?.cancel();
    this.timer = clock.setTimer(Math.max(0, Math.min(LOOK, asking, due - clock.wall())), () => this.look());
  }
}

function bundlesOf(material: Material, own: string): ReadonlyMap<string, string> {
  return new Map([...material.federated, [own, material.authorities]]);
}

function sameMaterial(one: Material, other: Material | undefined): boolean {
  return (
    other !== undefined &&
    one.certificate === other.certificate &&
    one.key === other.key &&
    one.authorities === other.authorities &&
    one.revoked === other.revoked &&
    one.federated.size === other.federated.size &&
    [...one.federated].every(([domain, pem]) => other.federated.get(domain) === pem)
  );
}

import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Clock, Timer } from "../core/clock.ts";
import type { Direction } from "../http/reason.ts";
import type { Grant, LeaseStore } from "./lease-store.ts";
import { LimitGroup } from "./limit-group.ts";
import { type BucketPlace, QuotaLimit, type QuotaLimitOptions } from "./quota/limit.ts";
import { QuotaStream } from "./quota/stream.ts";
import { type LocalOptions, RateLimit, type RateLimitOptions } from "./rate-limit.ts";
import { RedisStore } from "./redis-store.ts";
import { ServiceClient } from "./service-client.ts";
import { type RemoteOptions, ServiceLimit } from "./service-limit.ts";

/** Milliseconds for which the counts of a limit that is configured no more are kept, at most: two days of a quota by day. */
const LONGEST_PAST = 172_800_000;

/** A rate limit, whoever decides. */
export type AnyLimit = RateLimit | QuotaLimit | ServiceLimit;

interface Closable {
  close(): Promise<void>;
}

/**
 * Every rate limit of the configuration in force. A limit that stays keeps its counts over a reload, and so does one whose
 * amount, burst, match, mode or bound alone has changed, or that was away for less than it would take to recover. Connections to
 * stores and services stay while a limit uses them.
 */
export class RateLimits {
  readonly groups: Readonly<Record<Direction, LimitGroup>>;
  private readonly clock: Clock;
  private readonly log: Logger;
  private readonly random: () => number;
  private connections = new Map<string, Closable>();
  /** Limits that are configured no more, while their counts would still make a difference. */
  private readonly past = new Map<string, { readonly limit: RateLimit; readonly timer: Timer }>();

  private readonly elsewhere: LeaseStore | undefined;

  /**
   * `now`: milliseconds of the clock, as cheap as it can be had. `random`: uniform in [0, 1). `elsewhere`: another thread holds what
   * calls lease.
   */
  constructor(clock: Clock, now: () => number, log: Logger, random: () => number, elsewhere?: LeaseStore) {
    this.elsewhere = elsewhere;
    this.random = random;
    this.clock = clock;
    this.log = log;
    this.groups = { inbound: new LimitGroup(now), outbound: new LimitGroup(now) };
  }

  /** Goes over to other limits, from the next call on. */
  apply(limits: readonly RateLimitOptions[]): void {
    const before = this.connections;
    this.connections = new Map();
    for (const direction of ["inbound", "outbound"] as const) {
      const group = this.groups[direction];
      const mine = limits.filter((limit) => limit.direction === direction);
      const locals = new Map(group.local.map((limit) => [limit.options.name, limit]));
      group.local = mine.flatMap((options): (RateLimit | QuotaLimit)[] => {
        const old = locals.get(options.name) ?? this.past.get(pastKey(options))?.limit;
        if (isLocal(options)) return [this.local(options, old, before)];
        return isQuota(options) ? [this.quota(options, old, before)] : [];
      });
      for (const limit of locals.values()) if (!group.local.includes(limit)) this.retire(limit);
      for (const { options } of group.local) this.forget(pastKey(options));
      const remotes = new Map(group.remote.map((limit) => [limit.options.name, limit]));
      group.remote = mine.filter(isRemote).map((options) => this.remote(options, remotes.get(options.name), before));
    }
    for (const [key, connection] of before) if (!this.connections.has(key)) void connection.close();
  }

  /** Gives calls of a key to another thread; undefined where the store does not answer or there is no such limit. */
  lease(limit: string, key: string, calls: number, done: (grant: Grant | undefined) => void): void {
    for (const { local } of Object.values(this.groups)) {
      const found = local.find(({ terms }) => terms.name === limit);
      if (found === undefined) continue;
      found.lease(key, calls, this.clock.now(), done);
      return;
    }
    done(undefined);
  }

  *all(): IterableIterator<AnyLimit> {
    for (const { local, remote } of Object.values(this.groups)) {
      yield* local;
      yield* remote;
    }
  }

  async close(): Promise<void> {
    for (const key of [...this.past.keys()]) this.forget(key);
    await Promise.all([...this.connections.values()].map((connection) => connection.close()));
  }

  private local(
    options: LocalOptions,
    old: RateLimit | QuotaLimit | undefined,
    before: ReadonlyMap<string, Closable>,
  ): RateLimit {
    const { shared } = options.counted;
    let store = this.elsewhere;
    if (shared !== undefined && store === undefined) {
      const { url, timeout } = shared;
      const make = (): RedisStore => new RedisStore({ url, timeout, clock: this.clock, log: this.log });
      store = this.connection(`redis ${timeout} ${url}`, before, RedisStore, make);
    }
    if (!(old instanceof RateLimit) || old.store !== store || !sameCounts(old.options, options))
      return new RateLimit(options, this.clock, store);
    old.change(options);
    return old;
  }

  private remote(
    options: RemoteOptions,
    old: ServiceLimit | undefined,
    before: ReadonlyMap<string, Closable>,
  ): ServiceLimit {
    const { address } = options.counted.service;
    const make = (): ServiceClient => new ServiceClient(address, this.clock);
    const client = this.connection(`service ${address}`, before, ServiceClient, make);
    if (old !== undefined && isDeepStrictEqual(old.options, options)) return old;
    return new ServiceLimit(options, client, this.log);
  }

  /** A limit that comes back, as with a file that is put right again, goes on from where it was and does not begin anew. */
  private retire(limit: RateLimit | QuotaLimit): void {
    if (!(limit instanceof RateLimit)) {
      limit.release();
      return;
    }
    const key = pastKey(limit.options);
    const timer = this.clock.setTimer(Math.min(LONGEST_PAST, limit.recovery), () => this.past.delete(key));
    this.past.set(key, { limit, timer });
  }

  private forget(key: string): void {
    this.past.get(key)?.timer.cancel();
    this.past.delete(key);
  }

  private quota(
    options: QuotaLimitOptions,
    old: RateLimit | QuotaLimit | undefined,
    before: ReadonlyMap<string, Closable>,
  ): QuotaLimit {
    const { clock, log, random } = this;
    const { address, domain } = options.counted.quota;
    const make = (): QuotaStream => new QuotaStream({ address, domain, clock, log, random });
    const place: BucketPlace =
      this.elsewhere === undefined
        ? { kind: "here", stream: this.connection(`quota ${address} ${domain}`, before, QuotaStream, make) }
        : { kind: "elsewhere", store: this.elsewhere };
    const stays =
      old instanceof QuotaLimit && isDeepStrictEqual(old.options.key, options.key) && isSamePlace(old.place, place);
    if (!stays) return new QuotaLimit(options, clock, place);
    old.change(options);
    return old;
  }

  private connection<C extends Closable>(
    key: string,
    before: ReadonlyMap<string, Closable>,
    kind: abstract new (...options: never[]) => C,
    make: () => C,
  ): C {
    const known = this.connections.get(key) ?? before.get(key);
    const connection = known instanceof kind ? known : make();
    this.connections.set(key, connection);
    return connection;
  }
}

/** Whether what was counted by one means the same to the other. */
function sameCounts(one: LocalOptions, other: LocalOptions): boolean {
  return (
    one.counted.algorithm === other.counted.algorithm &&
    one.counted.pace.per === other.counted.pace.per &&
    one.counted.shared?.scope === other.counted.shared?.scope &&
    isDeepStrictEqual(one.key, other.key)
  );
}

function pastKey({ direction, name }: RateLimitOptions): string {
  return `${direction} ${name}`;
}

function isSamePlace(one: BucketPlace, other: BucketPlace): boolean {
  if (one.kind === "elsewhere") return other.kind === "elsewhere" && one.store === other.store;
  return other.kind === "here" && one.stream === other.stream;
}

function isLocal(options: RateLimitOptions): options is LocalOptions {
  return options.counted.by === "memory" || options.counted.by === "redis";
}

function isQuota(options: RateLimitOptions): options is QuotaLimitOptions {
  return options.counted.by === "quota";
}

function isRemote(options: RateLimitOptions): options is RemoteOptions {
  return options.counted.by === "service";
}

import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Clock } from "../core/clock.ts";
import type { Direction } from "../http/reason.ts";
import type { Grant, LeaseStore } from "./lease-store.ts";
import { LimitGroup } from "./limit-group.ts";
import { type LocalOptions, RateLimit, type RateLimitOptions } from "./rate-limit.ts";
import { RedisStore } from "./redis-store.ts";
import { ServiceClient } from "./service-client.ts";
import { type RemoteOptions, ServiceLimit } from "./service-limit.ts";

interface Closable {
  close(): Promise<void>;
}

/**
 * Every rate limit of the configuration in force. A limit that stays keeps its counts over a reload, and so does one whose
 * amount, burst, match, mode or bound alone has changed; connections to stores and services stay while a limit uses them.
 */
export class RateLimits {
  readonly groups: Readonly<Record<Direction, LimitGroup>>;
  private readonly clock: Clock;
  private readonly log: Logger;
  private connections = new Map<string, Closable>();

  private readonly elsewhere: LeaseStore | undefined;

  /** `now`: milliseconds of the clock, as cheap as it can be had. `elsewhere`: another thread holds what calls lease. */
  constructor(clock: Clock, now: () => number, log: Logger, elsewhere?: LeaseStore) {
    this.elsewhere = elsewhere;
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
      group.local = mine.filter(isLocal).map((options) => this.local(options, locals.get(options.name), before));
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

  *all(): IterableIterator<RateLimit | ServiceLimit> {
    for (const { local, remote } of Object.values(this.groups)) {
      yield* local;
      yield* remote;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.connections.values()].map((connection) => connection.close()));
  }

  private local(options: LocalOptions, old: RateLimit | undefined, before: ReadonlyMap<string, Closable>): RateLimit {
    const { shared } = options.counted;
    let store = this.elsewhere;
    if (shared !== undefined && store === undefined) {
      const { url, timeout } = shared;
      const make = (): RedisStore => new RedisStore({ url, timeout, clock: this.clock, log: this.log });
      store = this.connection(`redis ${timeout} ${url}`, before, RedisStore, make);
    }
    if (old === undefined || old.store !== store || !sameCounts(old.options, options))
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

function isLocal(options: RateLimitOptions): options is LocalOptions {
  return options.counted.by !== "service";
}

function isRemote(options: RateLimitOptions): options is RemoteOptions {
  return options.counted.by === "service";
}

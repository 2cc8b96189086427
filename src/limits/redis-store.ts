import type { Redis } from "ioredis";
import type { Logger } from "pino";
import type { RateLimiterRedis } from "rate-limiter-flexible";
import type { Clock } from "../core/clock.ts";
import type { Grant, LeaseStore, LeaseTerms } from "./lease-store.ts";
import { leaseScript } from "./redis-script.ts";

/** Which Redis, and how long it may take. */
export interface RedisStoreOptions {
  /** `redis://` or `rediss://`, with user and password where it wants them. */
  readonly url: string;
  /** Milliseconds within which an answer counts. */
  readonly timeout: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Milliseconds after a failure before the store is asked again. */
const PAUSE = 250;
/** Milliseconds to make a connection. */
const CONNECT = 1000;

/** The parts of the packages that are in use; loaded when the first limit wants them. */
interface Parts {
  readonly client: Redis;
  readonly limiterOf: (terms: LeaseTerms) => RateLimiterRedis;
}

/**
 * Limits kept in Redis by rate-limiter-flexible, with a script of our own that knows token buckets and gives parts of what is
 * asked for. One connection for all limits of a URL. A Redis that is gone, frozen or slow costs the calls nothing: they are
 * decided from leases.
 */
export class RedisStore implements LeaseStore {
  up = true;
  retryAt = Number.NEGATIVE_INFINITY;
  failures = 0;
  private readonly options: RedisStoreOptions;
  private readonly parts: Promise<Parts>;
  private closed = false;

  constructor(options: RedisStoreOptions) {
    this.options = options;
    this.parts = load(options);
    this.parts.catch((error: unknown) => this.failed(error));
  }

  lease(terms: LeaseTerms, key: string, calls: number, done: (grant: Grant | undefined) => void): void {
    this.consume(terms, key, calls).then(
      (grant) => {
        this.answered();
        done(grant);
      },
      (error: unknown) => {
        this.failed(error);
        done(undefined);
      },
    );
  }

  async close(): Promise<void> {
    this.closed = true;
    const parts = await this.parts.catch(() => undefined);
    parts?.client.disconnect();
  }

  private async consume(terms: LeaseTerms, key: string, calls: number): Promise<Grant> {
    const { client, limiterOf } = await this.parts;
    if (client.status === "connecting" || client.status === "connect") await firstConnection(client);
    const capacity = capacityOf(terms);
    try {
      const { msBeforeNext } = await limiterOf(terms).consume(key, calls);
      return { granted: calls, wait: msBeforeNext };
    } catch (rejection) {
      if (rejection instanceof Error) throw rejection;
      // A rejection is a value: what could not be given is above the capacity.
      const { consumedPoints, msBeforeNext } = rejection as { consumedPoints: number; msBeforeNext: number };
      return { granted: calls - (consumedPoints - capacity), wait: msBeforeNext };
    }
  }

  private answered(): void {
    if (!this.up) this.options.log.info("the store of the rate limits answers again");
    this.up = true;
  }

  private failed(error: unknown): void {
    if (this.closed) return;
    this.failures++;
    this.retryAt = this.options.clock.now() + PAUSE;
    if (this.up)
      this.options.log.warn({ err: error }, "the store of the rate limits does not answer: limits are kept locally");
    this.up = false;
  }
}

function capacityOf({ algorithm, pace }: LeaseTerms): number {
  return algorithm === "tokenBucket" ? pace.burst : pace.amount;
}

async function load({ url, timeout, log }: RedisStoreOptions): Promise<Parts> {
  const [{ Redis }, { RateLimiterRedis }] = await Promise.all([import("ioredis"), import("rate-limiter-flexible")]);
  const client = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: timeout,
    connectTimeout: CONNECT,
    retryStrategy: (attempt) => Math.min(attempt * 50, 1000),
  });
  client.on("error", (error: Error) => log.debug({ err: error }, "the connection to Redis failed"));
  const limiters = new WeakMap<LeaseTerms, RateLimiterRedis>();
  const limiterOf = (terms: LeaseTerms): RateLimiterRedis => {
    const known = limiters.get(terms);
    if (known !== undefined) return known;
    const { name, algorithm, pace } = terms;
    const capacity = capacityOf(terms);
    const rate = String(pace.amount / pace.per);
    // What rate-limiter-flexible asks of a client is this one method and the status.
    const storeClient = {
      get status() {
        return client.status;
      },
      rlflxIncr: ([key = "", calls = "1"]: readonly string[]) =>
        client.eval(leaseScript, 1, key, calls, capacity, algorithm, pace.per, rate),
    };
    const made = new RateLimiterRedis({
      storeClient,
      points: capacity,
      duration: Math.max(1, Math.ceil(pace.per / 1000)),
      keyPrefix: `outrigger:${name}:${algorithm}`,
      rejectIfRedisNotReady: true,
    });
    limiters.set(terms, made);
    return made;
  };
  return { client, limiterOf };
}

/** Resolves when the connection that is being made is there, or has failed: the one who asks finds out which. */
function firstConnection(client: Redis): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      client.off("ready", done);
      client.off("close", done);
      resolve();
    };
    client.on("ready", done);
    client.on("close", done);
  });
}

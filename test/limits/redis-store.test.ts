import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { pino } from "pino";
import { systemClock } from "../../src/core/clock.ts";
import type { Algorithm } from "../../src/limits/algorithms.ts";
import type { Grant, LeaseTerms } from "../../src/limits/lease-store.ts";
import type { Pace } from "../../src/limits/pace.ts";
import type { RateLimitOptions } from "../../src/limits/rate-limit.ts";
import { RateLimit } from "../../src/limits/rate-limit.ts";
import { RateLimits } from "../../src/limits/rate-limits.ts";
import { RedisStore } from "../../src/limits/redis-store.ts";
import { makeCall } from "../filters/make-call.ts";
import { skipUnless } from "../support/real-parts.ts";
import { RealRedis } from "../support/redis.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

const log = pino({ enabled: false });
const real = skipUnless("redis-server");

async function startRedis(scope: Scope): Promise<RealRedis> {
  const redis = await RealRedis.start();
  scope.onEnd(async () => void (await redis.kill()));
  return redis;
}

function connect(scope: Scope, url: string, timeout = 1000): RedisStore {
  const store = new RedisStore({ url, timeout, clock: systemClock, log });
  scope.onEnd(() => store.close());
  return store;
}

function lease(store: RedisStore, terms: LeaseTerms, key: string, calls: number): Promise<Grant | undefined> {
  return new Promise((resolve) => store.lease(terms, key, calls, resolve));
}

function terms(algorithm: Algorithm, amount: number, per: number, burst = amount): LeaseTerms {
  return { name: `test:${algorithm}`, algorithm, pace: { amount, per, burst } };
}

test("of a token bucket as much is given as there is, and it comes back with time", real, async () => {
  await inScope(async (scope) => {
    const store = connect(scope, (await startRedis(scope)).url);
    const bucket = terms("tokenBucket", 10, 1000, 30);
    assert.deepEqual(await lease(store, bucket, "a", 20), { granted: 20, wait: 0 });
    const rest = await lease(store, bucket, "a", 20);
    assert.ok(rest !== undefined && rest.granted >= 10 && rest.granted < 20, JSON.stringify(rest));
    assert.ok(rest.wait > 0 && rest.wait <= 100, `${rest.wait}`);
    await sleep(rest.wait + 5);
    const more = await lease(store, bucket, "a", 1);
    assert.equal(more?.granted, 1);
    assert.equal((await lease(store, bucket, "b", 30))?.granted, 30, "another key has its own");
  });
});

test("a window gives what is left of it, and says when it ends", real, async () => {
  await inScope(async (scope) => {
    const store = connect(scope, (await startRedis(scope)).url);
    for (const algorithm of ["fixedWindow", "slidingWindow"] as const) {
      const hour = terms(algorithm, 100, 3_600_000);
      const first = await lease(store, hour, "a", 60);
      assert.equal(first?.granted, 60);
      const second = await lease(store, hour, "a", 60);
      assert.equal(second?.granted, 40);
      const third = await lease(store, hour, "a", 60);
      assert.equal(third?.granted, 0);
      assert.ok(third.wait > 0 && third.wait <= 3_600_000, `${third.wait}`);
    }
  });
});

test("a sliding window fades what was used before", real, async () => {
  await inScope(async (scope) => {
    const store = connect(scope, (await startRedis(scope)).url);
    const second = terms("slidingWindow", 100, 1000);
    assert.equal((await lease(store, second, "a", 100))?.granted, 100);
    const end = Date.now() + 2500;
    let granted = 0;
    while (Date.now() < end) {
      granted += (await lease(store, second, "a", 5))?.granted ?? 0;
      await sleep(10);
    }
    assert.ok(granted >= 100 && granted <= 360, `${granted} in two and a half seconds`);
  });
});

test(
  "a Redis that is gone, frozen or not there fails the question within the timeout, and is asked again later",
  real,
  async () => {
    await inScope(async (scope) => {
      const redis = await startRedis(scope);
      const store = connect(scope, redis.url, 100);
      const bucket = terms("tokenBucket", 10, 1000);
      assert.equal((await lease(store, bucket, "a", 1))?.granted, 1);
      redis.pause();
      assert.equal(await lease(store, bucket, "a", 1), undefined);
      assert.equal(store.up, false);
      assert.ok(store.retryAt > systemClock.now() - 1000);
      redis.resume();
      await eventually(
        async () => (await lease(store, bucket, "a", 1)) !== undefined,
        () => "an answer of the Redis that goes on",
      );
      assert.equal(store.up, true);
      await redis.kill();
      assert.equal(await lease(store, bucket, "a", 1), undefined);
      await redis.restart();
      await eventually(
        async () => (await lease(store, bucket, "a", 1)) !== undefined,
        () => "an answer of the Redis that came back",
      );
      assert.ok(store.failures >= 2);
      const nobody = connect(scope, "redis://127.0.0.1:1", 100);
      assert.equal(await lease(nobody, bucket, "a", 1), undefined);
    });
  },
);

/** A limit that three sidecars share, each with its own connection. */
const HOLDERS = 3;
const LEASE = 10;
const RATE = 200;
const PACE: Pace = { amount: RATE, per: 1000, burst: RATE };
/** Each holder: a lease on credit and one in hand. */
const BEYOND = HOLDERS * 2 * LEASE;

function shared(url: string, algorithm: Algorithm = "tokenBucket", pace = PACE): RateLimitOptions {
  const share = {
    url,
    timeout: 300,
    scope: "test",
    lease: LEASE,
    localShare: 1 / HOLDERS,
    onFailure: "local",
  } as const;
  return {
    name: "shared",
    direction: "outbound",
    match: { method: "*", upstream: undefined, metadata: new Map() },
    key: [],
    mode: "enforce",
    headers: "all",
    counted: { by: "redis", pace, algorithm, maxKeys: 10, shared: share },
  };
}

/** A sidecar's part in a limit. */
function hold(scope: Scope, limit: RateLimitOptions): RateLimits {
  const limits = new RateLimits(systemClock, () => systemClock.now(), log, Math.random);
  limits.apply([limit]);
  scope.onEnd(() => limits.close());
  return limits;
}

/** Offers each holder a call about every millisecond; how many passed, and in how many seconds. */
async function offer(holders: readonly RateLimits[], ms: number): Promise<{ passed: number; seconds: number }> {
  const began = performance.now();
  let passed = 0;
  while (performance.now() < began + ms) {
    for (const { groups } of holders) if (groups.outbound.check(makeCall()) === undefined) passed++;
    await sleep(1);
  }
  return { passed, seconds: (performance.now() - began) / 1000 };
}

test(
  "three sidecars keep a limit together, with Redis, without it and after it, within the documented overshoot",
  real,
  async (t) => {
    await inScope(async (scope) => {
      const redis = await startRedis(scope);
      const holders = Array.from({ length: HOLDERS }, () => hold(scope, shared(redis.url)));
      const up = (): boolean =>
        holders.every(({ groups }) =>
          [...groups.outbound.local].every((limit) => limit instanceof RateLimit && limit.store?.up === true),
        );
      const check = (phase: string, passed: number, most: number, least: number): void => {
        t.diagnostic(`${phase}: ${passed} passed, at most ${Math.round(most)} may`);
        assert.ok(passed <= most, `${phase}: ${passed} passed, at most ${most} may`);
        assert.ok(passed >= least, `${phase}: ${passed} passed, at least ${least} have to`);
      };
      const with_ = await offer(holders, 2000);
      check("with Redis", with_.passed, RATE + RATE * with_.seconds + BEYOND, RATE);
      redis.pause();
      const frozen = await offer(holders, 1500);
      check("frozen", frozen.passed, RATE + RATE * frozen.seconds + BEYOND, RATE / 2);
      redis.resume();
      await eventually(
        async () => {
          await offer(holders, 20);
          return up();
        },
        () => "all of them have Redis again",
      );
      await redis.kill();
      const gone = await offer(holders, 1500);
      check("gone", gone.passed, RATE + RATE * gone.seconds + BEYOND, RATE / 2);
      await redis.restart();
      const after = await offer(holders, 2000);
      // It has forgotten what was used: a full bucket more.
      check("after", after.passed, 2 * RATE + RATE * after.seconds + BEYOND, RATE);
      assert.equal(up(), true);
    });
  },
);

const DAY = 86_400_000;
const DAILY = 300;

/** Offers calls until none passes for a while; how many did. */
async function useUp(holders: readonly RateLimits[]): Promise<number> {
  let all = 0;
  for (let round = 0; round < 100; round++) {
    const { passed } = await offer(holders, 300);
    if (passed === 0) return all;
    all += passed;
  }
  return assert.fail(`${all} calls have passed, and there is no end to it`);
}

/** Waits where it is about to be tomorrow. */
async function today(): Promise<void> {
  const left = DAY - (Date.now() % DAY);
  if (left < 120_000) await sleep(left + 100);
}

/** What Redis has counted was yesterday. */
async function makeItYesterday(url: string): Promise<void> {
  const client = new Redis(url);
  for (const key of await client.keys("*")) await client.hincrby(key, "at", -DAY);
  client.disconnect();
}

test(
  "a quota by day holds over restarts of a sidecar and of Redis within the documented overshoot, and begins anew with the day",
  real,
  async (t) => {
    await today();
    await inScope(async (scope) => {
      const redis = await startRedis(scope);
      const limit = shared(redis.url, "fixedWindow", { amount: DAILY, per: DAY, burst: DAILY });
      const holders = Array.from({ length: HOLDERS }, () => hold(scope, limit));
      const [first, ...others] = holders;
      const check = async (phase: string, of: readonly RateLimits[], most: number, least: number): Promise<void> => {
        const passed = await useUp(of);
        t.diagnostic(`${phase}: ${passed} passed, at most ${most} may`);
        assert.ok(passed <= most && passed >= least, `${phase}: ${passed} passed, of ${least} to ${most}`);
      };
      const isUp = (limits: RateLimits): boolean =>
        [...limits.groups.outbound.local].every((one) => one instanceof RateLimit && one.store?.up === true);

      await check("today", holders, DAILY + BEYOND, DAILY - HOLDERS * LEASE);
      await first?.close();
      const again = hold(scope, limit);
      await check("a sidecar that was started again", [again], 2 * LEASE, 0);
      await check("all of them", [again, ...others], LEASE, 0);

      await redis.kill();
      // Two have used their local shares; the third does not know of it and has its own once more.
      await check("Redis gone", [again, ...others], DAILY / HOLDERS + BEYOND, 0);
      const third = hold(scope, limit);
      await check("a sidecar started meanwhile", [third], DAILY / HOLDERS + BEYOND, DAILY / HOLDERS);

      await redis.restart();
      const all = [third, again, ...others];
      await eventually(
        async () => {
          await offer(all, 1);
          return all.every(isUp);
        },
        () => "all of them have Redis again",
        15_000,
      );
      await check("Redis back without its data", all, DAILY + BEYOND + 2 * LEASE, 0);

      await makeItYesterday(redis.url);
      await check("the next day", [hold(scope, limit)], DAILY + LEASE, DAILY - LEASE);
    });
  },
);

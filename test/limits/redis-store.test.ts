import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { systemClock } from "../../src/core/clock.ts";
import type { Algorithm } from "../../src/limits/algorithms.ts";
import type { Grant, LeaseTerms } from "../../src/limits/lease-store.ts";
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

function shared(url: string): RateLimitOptions {
  const pace = { amount: RATE, per: 1000, burst: RATE };
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
    counted: { by: "redis", pace, algorithm: "tokenBucket", maxKeys: 10, shared: share },
  };
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
      const holders = Array.from({ length: HOLDERS }, () => {
        const limits = new RateLimits(systemClock, () => systemClock.now(), log, Math.random);
        limits.apply([shared(redis.url)]);
        scope.onEnd(() => limits.close());
        return limits;
      });
      const up = (): boolean =>
        holders.every(({ groups }) =>
          [...groups.outbound.local].every((limit) => limit instanceof RateLimit && limit.store?.up === true),
        );
      // Each holder: a lease on credit and one in hand.
      const beyond = HOLDERS * 2 * LEASE;
      const check = (phase: string, passed: number, most: number, least: number): void => {
        t.diagnostic(`${phase}: ${passed} passed, at most ${Math.round(most)} may`);
        assert.ok(passed <= most, `${phase}: ${passed} passed, at most ${most} may`);
        assert.ok(passed >= least, `${phase}: ${passed} passed, at least ${least} have to`);
      };
      const with_ = await offer(holders, 2000);
      check("with Redis", with_.passed, RATE + RATE * with_.seconds + beyond, RATE);
      redis.pause();
      const frozen = await offer(holders, 1500);
      check("frozen", frozen.passed, RATE + RATE * frozen.seconds + beyond, RATE / 2);
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
      check("gone", gone.passed, RATE + RATE * gone.seconds + beyond, RATE / 2);
      await redis.restart();
      const after = await offer(holders, 2000);
      // It has forgotten what was used: a full bucket more.
      check("after", after.passed, 2 * RATE + RATE * after.seconds + beyond, RATE);
      assert.equal(up(), true);
    });
  },
);

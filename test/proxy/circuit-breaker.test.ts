import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Breakers } from "../../src/proxy/breakers.ts";
import {
  type BreakerOptions,
  type BreakerState,
  CircuitBreaker,
  type Permit,
} from "../../src/proxy/circuit-breaker.ts";
import { FakeClock } from "../support/clock.ts";

const OPTIONS: BreakerOptions = {
  failureRate: 0.5,
  window: 10_000,
  minimumRequests: 20,
  openFor: 20,
  slow: undefined,
};

function setup(options: Partial<BreakerOptions> = {}) {
  const clock = new FakeClock();
  const heard: BreakerState[] = [];
  const breaker = new CircuitBreaker({ ...OPTIONS, ...options }, clock, (state) => void heard.push(state));
  const calls = (count: number, outcome: "ok" | "failure" | "cancelled", ms = 1): void => {
    for (let at = 0; at < count; at++) {
      const permit = breaker.enter();
      if (permit !== undefined) breaker.leave(permit, outcome, ms);
    }
  };
  /** Enters as the one call that tries again. */
  const probe = (): Permit => {
    const permit = breaker.enter();
    assert.ok(permit !== undefined && permit !== "call");
    return permit;
  };
  /** opossum waits on a timer of its own. */
  const halfOpen = async (): Promise<void> => {
    while (breaker.state !== "halfOpen") await sleep(2);
  };
  const end = (): void => {
    breaker.close();
    assert.equal(clock.pending, 0, "no timer is left");
  };
  return { clock, breaker, heard, calls, probe, halfOpen, end };
}

test("it opens at the failure rate, and not before there are enough calls", () => {
  const few = setup();
  few.calls(19, "failure");
  few.clock.advance(100);
  assert.equal(few.breaker.state, "closed");
  few.calls(1, "ok");
  few.clock.advance(100);
  assert.equal(few.breaker.state, "closed", "opossum looks when a call fails");
  few.calls(1, "failure");
  few.clock.advance(100);
  assert.equal(few.breaker.state, "open");
  few.end();

  const half = setup();
  half.calls(10, "ok");
  half.calls(10, "failure");
  half.clock.advance(100);
  assert.equal(half.breaker.state, "open", "at the rate, not only above it");
  assert.match(half.breaker.reason, /^10 of 20 calls in 10s failed; the next try is in 0.1s$/);
  assert.equal(half.breaker.enter(), undefined);
  assert.equal(half.breaker.refused, 1);
  half.end();

  const fine = setup();
  fine.calls(11, "ok");
  fine.calls(10, "failure");
  fine.clock.advance(100);
  assert.equal(fine.breaker.state, "closed");
  fine.end();
});

test("where every call fails 100% is enough", () => {
  const { breaker, calls, end } = setup({ failureRate: 1, minimumRequests: 3 });
  calls(3, "failure");
  assert.equal(breaker.state, "open", "as soon as so many have failed, without waiting for the next batch");
  end();
});

test("a caller's cancel is neither success nor failure", () => {
  const { breaker, calls, clock, end } = setup({ minimumRequests: 4 });
  calls(100, "cancelled");
  calls(4, "failure");
  clock.advance(100);
  assert.equal(breaker.state, "open", "cancelled calls did not thin out the failures");
  end();
});

test("what is older than the window counts no more", () => {
  const { breaker, calls, clock, end } = setup({ minimumRequests: 4 });
  calls(3, "failure");
  clock.advance(100);
  clock.advance(11_000);
  calls(3, "failure");
  clock.advance(100);
  assert.equal(breaker.state, "closed");
  assert.deepEqual(breaker.stats(), { calls: 3, failures: 3, slow: 0 });
  end();
});

test("one call tries again, and with its success all pass and nothing of before counts", async () => {
  const { breaker, calls, heard, halfOpen, probe, clock, end } = setup({ minimumRequests: 2 });
  calls(2, "failure");
  await halfOpen();
  const permit = probe();
  assert.equal(breaker.enter(), undefined, "only one");
  breaker.leave(permit, "ok", 1);
  assert.equal(breaker.state, "closed");
  assert.deepEqual(heard, ["open", "halfOpen", "closed"]);
  calls(1, "failure");
  clock.advance(100);
  assert.equal(breaker.state, "closed");
  assert.equal(breaker.opened, 1);
  end();
});

test("where the call that tried again fails it opens again", async () => {
  const { breaker, calls, heard, halfOpen, probe, end } = setup({ minimumRequests: 2 });
  calls(2, "failure");
  await halfOpen();
  breaker.leave(probe(), "failure", 1);
  assert.equal(breaker.state, "open");
  await halfOpen();
  assert.deepEqual(heard, ["open", "halfOpen", "open", "halfOpen"]);
  probe();
  end();
});

test("a call that tried again and was cancelled leaves its place to the next", async () => {
  const { breaker, calls, halfOpen, probe, end } = setup({ minimumRequests: 2 });
  calls(2, "failure");
  await halfOpen();
  breaker.leave(probe(), "cancelled", 1);
  assert.equal(breaker.state, "halfOpen");
  breaker.leave(probe(), "ok", 1);
  assert.equal(breaker.state, "closed");
  end();
});

test("what began before it opened and ends after counts nothing", async () => {
  const { breaker, calls, halfOpen, probe, end } = setup({ minimumRequests: 2 });
  const early = breaker.enter();
  calls(2, "failure");
  await halfOpen();
  breaker.leave(early ?? "call", "failure", 1);
  assert.equal(breaker.state, "halfOpen");
  breaker.leave(probe(), "ok", 1);
  assert.deepEqual(breaker.stats(), { calls: 0, failures: 0, slow: 0 });
  end();
});

test("it opens where too many calls are slow, though none fails", async () => {
  const { breaker, calls, clock, halfOpen, probe, end } = setup({
    minimumRequests: 10,
    slow: { call: 100, rate: 0.5 },
  });
  calls(6, "ok", 99);
  calls(5, "ok", 100);
  clock.advance(100);
  assert.equal(breaker.state, "closed");
  calls(1, "ok", 500);
  clock.advance(100);
  assert.equal(breaker.state, "open");
  assert.match(breaker.reason, /^6 of 12 calls in 10s took 100ms or more/);
  await halfOpen();
  breaker.leave(probe(), "ok", 100);
  assert.equal(breaker.state, "open", "the call that tried again was slow");
  end();
});

test("methods have breakers of their own where that is asked for, and the 201st shares one", () => {
  const clock = new FakeClock();
  const heard: string[] = [];
  const options = {
    ...OPTIONS,
    minimumRequests: 1,
    scope: "method",
    statuses: new Set([14]),
    status: undefined,
  } as const;
  const breakers = new Breakers(options, clock, (method) => (state) => void heard.push(`${method} ${state}`));
  breakers.for("/a.A/One").leave("call", "failure", 1);
  assert.deepEqual(heard, ["/a.A/One open"]);
  assert.equal(breakers.for("/a.A/Two").state, "closed");
  assert.equal(breakers.for("/a.A/One").state, "open");
  for (let at = 0; at < 300; at++) breakers.for(`/a.A/M${at}`);
  assert.equal([...breakers.all()].length, 201);
  breakers.close();
});

test("where few calls are enough it opens with the last of them, however slowly they come", () => {
  const { clock, breaker, calls, end } = setup({ minimumRequests: 3 });
  for (let at = 0; at < 3; at++) {
    assert.equal(breaker.state, "closed");
    clock.advance(500);
    calls(1, "failure");
  }
  assert.equal(breaker.state, "open");
  end();
});

test("a call that tried again before another thread had the breaker open once more decides nothing", async () => {
  const { breaker, calls, halfOpen, probe, end } = setup({ minimumRequests: 1 });
  calls(1, "failure");
  await halfOpen();
  const before = probe();
  breaker.open("another thread says so");
  await halfOpen();
  const now = probe();
  breaker.leave(before, "ok", 1);
  assert.equal(breaker.state, "halfOpen");
  assert.equal(breaker.enter(), undefined, "one is under way");
  breaker.leave(now, "failure", 1);
  assert.equal(breaker.state, "open");
  end();
});

test("a stream that tries again is not waited for: after `openFor` another call does, and the first that ends decides", async () => {
  for (const outcome of ["ok", "failure"] as const) {
    const { clock, breaker, calls, halfOpen, probe, end } = setup({ minimumRequests: 1 });
    calls(1, "failure");
    await halfOpen();
    const stream = probe();
    clock.advance(OPTIONS.openFor - 1);
    assert.equal(breaker.enter(), undefined, "only one");
    clock.advance(1);
    const other = probe();
    assert.equal(breaker.enter(), undefined, "one at a time");
    breaker.leave(stream, outcome, 1);
    assert.equal(breaker.state, outcome === "ok" ? "closed" : "open");
    breaker.leave(other, outcome === "ok" ? "failure" : "ok", 1);
    assert.equal(breaker.state, outcome === "ok" ? "closed" : "open", "what comes after that counts nothing");
    end();
  }
});

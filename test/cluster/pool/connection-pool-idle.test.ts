import assert from "node:assert/strict";
import { test } from "node:test";
import { settled } from "../../support/clock.ts";
import { seededRandom } from "../../support/random.ts";
import { NOTHING_LEFT, PoolHarness } from "./harness.ts";

/** Makes a call; milliseconds for which the connection that it was given had been idle. */
async function idleAtCall(harness: PoolHarness): Promise<number> {
  const call = harness.call();
  const idle = call.connection === undefined ? 0 : harness.clock.now() - call.connection.heardAt;
  await settled();
  assert.equal(call.state, "answered");
  return idle;
}

/** Lets time pass, in which the server ends connections that have been idle for `limit` milliseconds, without a word. */
async function pause({ server, clock }: PoolHarness, ms: number, limit: number): Promise<void> {
  const end = clock.now() + ms;
  for (;;) {
    const due = server.standing.map((one) => one.connection.heardAt + limit);
    const next = Math.min(end, ...due);
    await clock.pass(Math.max(0, next - clock.now()));
    if (next === end) return;
    for (const { connection, transport } of server.standing)
      if (clock.now() - connection.heardAt >= limit - 1e-6) transport.destroy();
    await settled();
  }
}

for (const limit of [1000, 3000, 15_000, 350_000]) {
  test(`a server that ends connections that are idle for ${limit} ms gets no call in that moment, from the first one on`, async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const harness = new PoolHarness();
      const random = seededRandom(seed);
      await idleAtCall(harness);
      let longest = 0;
      for (let n = 0; n < 100; n++) {
        // Half of the gaps are about as long as the server's limit.
        const gap = random() < 0.5 ? limit * (0.95 + 0.1 * random()) : limit * 1.2 * random();
        await pause(harness, gap, limit);
        longest = Math.max(longest, await idleAtCall(harness));
      }
      assert.ok(longest > limit / 10, `${longest} ms: idle connections are used where it is safe`);
      assert.ok(longest < limit * 0.9, `a call went out on a connection that had been idle for ${longest} ms`);
      assert.equal(harness.states.aborted, undefined);
      assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
    }
  });
}

test("of a server that lets connections stand one is set aside for a look-out, and the others are used after any pause", async () => {
  const harness = new PoolHarness();
  for (let n = 0; n < 200; n++) {
    await idleAtCall(harness);
    await harness.clock.pass(2000);
  }
  assert.equal(harness.server.dials, 2, "the look-out, and another in its place");
  assert.equal(harness.server.standing.length, 2);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("the connection to a sidecar is used after any pause", async () => {
  const harness = new PoolHarness();
  harness.server.sidecar = true;
  for (const pause of [0, 100, 60_000, 10_000_000]) {
    await harness.clock.pass(pause);
    await idleAtCall(harness);
  }
  assert.equal(harness.server.dials, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a server that ends connections after milliseconds gets no second call on one, until it lets one stand", async () => {
  const harness = new PoolHarness();
  const { clock, server } = harness;
  await idleAtCall(harness);
  await clock.pass(3);
  server.standing[0]?.transport.destroy();
  await settled();
  for (let n = 0; n < 5; n++) {
    assert.equal(await idleAtCall(harness), 0);
    await clock.pass(1);
  }
  assert.equal(server.dials, 6, "each on a connection of its own");
  await clock.pass(2000);
  await idleAtCall(harness);
  const dials = server.dials;
  for (let n = 0; n < 5; n++) {
    await idleAtCall(harness);
    await clock.pass(100);
  }
  assert.equal(server.dials, dials, "the look-out stands after 2 s, so what ended the first one was something else");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a server that went away and came back is not taken for one that ends idle connections", async () => {
  const harness = new PoolHarness();
  const { clock, server } = harness;
  await idleAtCall(harness);
  await clock.pass(3);
  server.next.push("refuse");
  for (const { transport } of server.standing) transport.destroy();
  await settled();
  harness.call();
  await settled();
  assert.deepEqual(harness.states, { answered: 1, failed: 1 });
  await idleAtCall(harness);
  const { dials } = server;
  await clock.pass(50);
  await idleAtCall(harness);
  assert.equal(server.dials, dials);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("where no new connection is to be had the idle one is used as it is", async () => {
  const harness = new PoolHarness();
  await idleAtCall(harness);
  await harness.clock.pass(60_000);
  harness.server.mode = "refuse";
  for (let n = 0; n < 3; n++) {
    await idleAtCall(harness);
    await harness.clock.pass(60_000);
  }
  assert.deepEqual(harness.heard, ["reachable", "reachable"]);
  assert.equal(harness.server.dials, 2);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("of many calls after a pause a hundred wait for another connection, and the rest do not", async () => {
  const harness = new PoolHarness();
  harness.server.maxStreams = 1000;
  await idleAtCall(harness);
  await harness.clock.pass(60_000);
  harness.burst(900);
  assert.deepEqual(harness.states, { answered: 1, waiting: 100, open: 800 });
  await settled(50);
  assert.deepEqual(harness.states, { answered: 901 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("with one connection allowed an idle one is ended before another takes its place", async () => {
  const harness = new PoolHarness({ maxConnections: 1 });
  await idleAtCall(harness);
  await harness.clock.pass(60_000);
  const call = harness.call();
  await settled();
  await harness.clock.pass(1000);
  assert.equal(call.state, "answered");
  assert.equal(harness.server.dials, 2);
  assert.equal(harness.server.standing.length, 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

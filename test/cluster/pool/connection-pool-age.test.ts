import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolOptions } from "../../../src/cluster/pool/pool-options.ts";
import { ConnectionLives } from "../../../src/net/connection-life.ts";
import { FakeClock, settled } from "../../support/clock.ts";
import { NOTHING_LEFT, PoolHarness } from "./harness.ts";

/** A pool whose connections are used for exactly so long. */
function agingPool(
  terms: { readonly maxAge?: number; readonly maxRequests?: number },
  options: Partial<PoolOptions> = {},
): { harness: PoolHarness; lives: ConnectionLives } {
  const { maxAge, maxRequests } = terms;
  const clock = new FakeClock();
  const lives = new ConnectionLives(
    { maxAge, maxRequests, grace: undefined, idleTimeout: undefined },
    clock,
    () => 0.5,
  );
  return { harness: new PoolHarness({ ...options, lives }, clock), lives };
}

const states = ({ pool }: PoolHarness): [string, number][] =>
  pool.connections().map(({ state, streams }) => [state, streams]);

test("an old connection takes calls until another one stands in its place, and ends with its last one", async () => {
  const { harness, lives } = agingPool({ maxAge: 10_000 });
  harness.server.answers = false;
  harness.call();
  await harness.clock.pass(9000);
  harness.call();
  await harness.clock.pass(900);
  assert.deepEqual(
    harness.pool.connections().map(({ left }) => left),
    [100],
  );
  harness.server.next.push("hang");
  await harness.clock.pass(4000);
  assert.deepEqual(lives.asked, { maxAge: 1, maxRequests: 0, idleTimeout: 0 });
  // The dial for another one goes on, and then fails.
  assert.deepEqual(states(harness), [
    ["open", 2],
    ["dialling", 0],
  ]);
  const meanwhile = harness.call();
  assert.equal(meanwhile.connection, harness.calls[0]?.connection);
  await harness.clock.pass(3000);
  assert.equal(harness.server.dials, 3, "it is dialled again after a pause");
  assert.deepEqual(states(harness), [
    ["draining", 3],
    ["open", 0],
  ]);
  assert.notEqual(harness.call().connection, meanwhile.connection);
  await settled();
  harness.answerAll();
  await harness.clock.pass(1000);
  assert.deepEqual(harness.states, { answered: 4 });
  assert.deepEqual(states(harness), [["open", 0]]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("an old connection that nobody uses ends, and nothing is dialled for it", async () => {
  const { harness } = agingPool({ maxAge: 60_000 });
  harness.call();
  await harness.clock.pass(61_000);
  assert.deepEqual([states(harness), harness.server.dials, harness.states], [[], 1, { answered: 1 }]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("where there may be no other beside it an old connection ends first, and calls wait for the next", async () => {
  const { harness } = agingPool({ maxAge: 2000 }, { maxConnections: 1 });
  for (let call = 0; call < 50; call++) {
    harness.call();
    await harness.clock.pass(100);
  }
  await settled();
  assert.deepEqual(harness.states, { answered: 50 });
  assert.equal(harness.server.dials, 3);
  assert.ok(harness.pool.size <= 1);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("where there may be no other beside it an old connection takes calls as long as it has one", async () => {
  const { harness } = agingPool({ maxAge: 2000 }, { maxConnections: 1 });
  harness.server.answers = false;
  harness.call();
  await harness.clock.pass(1900);
  harness.call();
  await harness.clock.pass(1000);
  assert.deepEqual(states(harness), [["open", 2]]);
  const late = harness.call();
  assert.equal(late.state, "open");
  await settled();
  harness.answerAll();
  await settled();
  assert.deepEqual([harness.states, states(harness)], [{ answered: 3 }, [["open", 0]]]);
  assert.equal(harness.server.dials, 2);
  assert.notEqual(harness.call().connection, late.connection);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("old connections whose calls go on leave one for new calls, which goes once there is room for another", async () => {
  const { harness } = agingPool({ maxAge: 2000 }, { maxConnections: 2 });
  harness.server.answers = false;
  for (let call = 0; call < 12; call++) {
    assert.equal(harness.call().state, call === 0 ? "waiting" : "open");
    await harness.clock.pass(500);
  }
  assert.deepEqual(
    states(harness).map(([state]) => state),
    ["draining", "open"],
  );
  const [first] = harness.server.accepted;
  for (const stream of first?.streams.splice(0) ?? []) harness.server.answer(stream);
  await settled();
  assert.deepEqual(
    states(harness).map(([state]) => state),
    ["draining", "open"],
  );
  assert.equal(harness.server.dials, 3);
  await settled();
  harness.answerAll();
  await settled();
  assert.deepEqual(harness.states, { answered: 12 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a connection that has carried as many calls as it may makes room for another one", async () => {
  const { harness, lives } = agingPool({ maxRequests: 10 });
  for (let call = 0; call < 35; call++) {
    harness.call();
    await settled();
  }
  assert.deepEqual(harness.states, { answered: 35 });
  assert.deepEqual([harness.server.dials, lives.asked.maxRequests], [4, 3]);
  lives.renew({ ...lives.terms, maxRequests: undefined });
  for (let call = 0; call < 35; call++) {
    harness.call();
    await settled();
  }
  assert.equal(harness.server.dials, 4);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("connections that come of age together go one after the other, each once another one stands", async () => {
  const { harness } = agingPool({ maxAge: 10_000 });
  harness.server.answers = false;
  harness.call();
  await settled();
  harness.burst(250);
  await settled();
  const before = harness.pool.connections().length;
  assert.ok(before >= 3);
  await harness.clock.pass(9000);
  harness.call();
  await harness.clock.pass(2000);
  const draining = states(harness).filter(([state]) => state === "draining");
  assert.equal(draining.length, before);
  harness.answerAll();
  await settled();
  harness.answerAll();
  await settled();
  assert.deepEqual(harness.states, { answered: 252 });
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

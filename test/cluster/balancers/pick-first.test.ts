import assert from "node:assert/strict";
import { test } from "node:test";
import { pickFirst } from "../../../src/cluster/balancers/pick-first.ts";
import type { ClusterOptions } from "../../../src/cluster/cluster.ts";
import { defaultPolicy } from "../../../src/cluster/policy.ts";
import { seededRandom } from "../../support/random.ts";
import { ClusterHarness, NOTHING_LEFT } from "../cluster-harness.ts";
import { ANY, after, idleEndpoints, spec, tools } from "../endpoints.ts";

const FIRST: Partial<ClusterOptions> = { policy: { ...defaultPolicy, balancer: pickFirst } };
const harness = (...ports: number[]) => new ClusterHarness(FIRST, ...ports.map((port) => spec(port)));

test("all calls go to the first of the list, and further attempts to the next", () => {
  const [one, two, three] = idleEndpoints(1, 100, 1);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const picker = pickFirst.picker([one, two, three], tools(seededRandom(1)), undefined);
  for (let n = 0; n < 100; n++) assert.equal(picker.pick(ANY), one);
  assert.equal(picker.pick(after(one)), two);
  assert.equal(picker.pick(after(one, two)), three);
  assert.equal(picker.pick(after(one, two, three)), one);
});

test("it stays with its endpoint while that is there, whatever the list looks like", () => {
  const [one, two, three] = idleEndpoints(1, 1, 1);
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const pick = (picker: ReturnType<typeof pickFirst.picker>) => picker.pick(ANY);
  let picker = pickFirst.picker([two, three], tools(seededRandom(1)), undefined);
  assert.equal(pick(picker), two);
  picker = pickFirst.picker([one, three, two], tools(seededRandom(1)), picker);
  assert.equal(pick(picker), two, "another stands before it");
  picker = pickFirst.picker([one, three], tools(seededRandom(1)), picker);
  assert.equal(pick(picker), one, "it has gone");
  picker = pickFirst.picker([two, one], tools(seededRandom(1)), picker);
  assert.equal(pick(picker), one, "it has come back");
});

test("shuffled, sidecars begin at different endpoints, and each keeps its order", () => {
  const endpoints = idleEndpoints(1, 1, 1, 1);
  const firsts = new Set<string>();
  for (let seed = 1; seed <= 50; seed++) {
    const own = tools(seededRandom(seed), { shuffled: true });
    const picker = pickFirst.picker(endpoints, own, undefined);
    const order = (from: typeof picker) => {
      const [a, b] = [from.pick(ANY), from.pick(after(from.pick(ANY) ?? assert.fail()))];
      return `${a?.id} ${b?.id}`;
    };
    firsts.add(picker.pick(ANY)?.id ?? "none");
    assert.equal(order(pickFirst.picker(endpoints.toReversed(), own, picker)), order(picker));
  }
  assert.equal(firsts.size, 4);
});

test("one that does not answer the dial costs 250 ms: the call that waits goes on to the next, and so do those after it", async () => {
  const { cluster, clock, on, call, picks, leftovers } = bound(harness(1, 2, 3));
  on(1).mode = "hang";
  const waiting = waitLong(cluster);
  await clock.pass(240);
  assert.equal(on(2).dials, 0, "the first one has time of its own");
  await clock.pass(20);
  assert.equal(on(2).dials, 1);
  assert.equal(on(3).dials, 0);
  await waiting.failed;
  assert.equal(waiting.why, "CONNECT_TIMEOUT: 127.0.0.1:1 has no connection yet, and 127.0.0.1:2 has one");
  assert.equal(picks(20), Array.from({ length: 20 }, () => "2").join(" "));
  assert.deepEqual(await call(), { id: "2", outcome: "answered" });
  await clock.pass(10_000);
  assert.equal(on(3).dials, 0, "there was no need of it");
  assert.deepEqual(await leftovers(), NOTHING_LEFT);
});

test("of several that hang each is given 250 ms", async () => {
  const { cluster, clock, on, picks, leftovers } = bound(harness(1, 2, 3));
  on(1).mode = on(2).mode = "hang";
  const waiting = waitLong(cluster);
  await clock.pass(260);
  assert.equal(on(3).dials, 0);
  await clock.pass(250);
  await waiting.failed;
  assert.equal(picks(3), "3 3 3");
  assert.deepEqual(await leftovers(), NOTHING_LEFT);
});

test("the first one keeps the calls where it stands before the next does", async () => {
  const { cluster, clock, on, picks, call, leftovers } = bound(harness(1, 2));
  assert.deepEqual(await call(), { id: "1", outcome: "answered" });
  await clock.pass(2000);
  assert.equal(on(2).dials, 0);
  assert.equal(picks(3), "1 1 1");
  assert.equal(cluster.balancerName, "pickFirst");
  assert.deepEqual(await leftovers(), NOTHING_LEFT);
});

test("one that refuses is left at once, and does not get the calls back when it can be reached again", async () => {
  const { clock, on, picks, call, endpoint, leftovers } = bound(harness(1, 2));
  on(1).mode = "refuse";
  assert.equal((await call()).outcome, "CONNECT_REFUSED");
  assert.deepEqual(await call(), { id: "2", outcome: "answered" });
  on(1).mode = "accept";
  await clock.pass(20_000);
  assert.equal(endpoint("1").state.kind, "up");
  assert.equal(picks(3), "2 2 2");
  assert.deepEqual(await leftovers(), NOTHING_LEFT);
});

/** A call that waits for the endpoint that it was given. */
function waitLong(cluster: ClusterHarness["cluster"]) {
  const waiting = { failed: Promise.resolve(), why: "" };
  const { pool } = cluster.pick(ANY) ?? assert.fail("nobody to wait for");
  waiting.failed = new Promise((resolve) => {
    pool.wait({
      onConnection: () => resolve(),
      onFailed: (reason, message) => {
        waiting.why = `${reason}: ${message}`;
        resolve();
      },
    });
  });
  return waiting;
}

/** With its methods to be used by themselves. */
function bound(made: ClusterHarness) {
  return {
    cluster: made.cluster,
    clock: made.clock,
    on: made.on.bind(made),
    call: made.call.bind(made),
    picks: made.picks.bind(made),
    endpoint: made.endpoint.bind(made),
    leftovers: made.leftovers.bind(made),
  };
}

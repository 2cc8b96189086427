import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttemptReport } from "../../../src/cluster/attempt-report.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { defaultOutlierSettings, type OutlierSettings } from "../../../src/cluster/health/settings.ts";
import { Status } from "../../../src/http/reason.ts";
import { ClusterHarness, inTurn, NOTHING_LEFT } from "../cluster-harness.ts";
import { report, spec } from "../endpoints.ts";

const BASE = defaultOutlierSettings.baseEjection;

/** Round robin over so many endpoints, judged by these settings. */
function harness(count: number, more: Partial<OutlierSettings> = {}): ClusterHarness {
  const outlierDetection = { ...defaultOutlierSettings, ...more };
  const specs = Array.from({ length: count }, (_, at) => spec(at + 1));
  return new ClusterHarness({ policy: { ...inTurn, outlierDetection } }, ...specs);
}

/** An attempt that began and ended now. */
function end(
  on: ClusterHarness,
  id: string,
  outcome: AttemptReport["outcome"],
  more: Partial<AttemptReport> = {},
): void {
  const endpoint = on.endpoint(id);
  endpoint.started();
  const now = on.clock.now();
  endpoint.done(report(outcome, { startedAt: now, endedAt: now, ...more }));
}

const ok = (on: ClusterHarness, id: string): void => end(on, id, "ok", { status: Status.OK });
function fail(on: ClusterHarness, id: string, times = 1, status: number = Status.UNAVAILABLE): void {
  for (let n = 0; n < times; n++) end(on, id, "ok", { status });
}

function stateOf(on: ClusterHarness, id: string): string {
  return on.cluster.stats().find((stats) => stats.id === id)?.state ?? "none";
}

test("five failures in a row take an endpoint out, four do not, and a good answer begins anew", async () => {
  const on = harness(3);
  fail(on, "1", 4);
  ok(on, "1");
  fail(on, "1", 4);
  assert.equal(stateOf(on, "1"), "up");
  fail(on, "1");
  assert.equal(stateOf(on, "1"), "ejected");
  assert.equal(on.picks(4).includes("1"), false);
  const stats = on.cluster.stats()[0]?.ejected;
  assert.deepEqual(stats, {
    cause: "consecutiveFailures",
    detail: "5 failures in a row, the last: status 14",
    since: on.clock.wall(),
    until: on.clock.wall() + BASE,
    times: 1,
  });
  assert.equal(on.cluster.ejections.byCause.get("consecutiveFailures"), 1);
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("after its time one call is let through, and a good answer brings it back", () => {
  const on = harness(3);
  fail(on, "1", 5);
  on.clock.advance(BASE - 1);
  assert.equal(stateOf(on, "1"), "ejected");
  on.clock.advance(1);
  assert.equal(stateOf(on, "1"), "halfOpen");
  assert.equal(on.pick()?.id, "1", "the next call is its trial");
  assert.equal(on.picks(6).includes("1"), false, "while that is under way no other goes there");
  ok(on, "1");
  assert.equal(stateOf(on, "1"), "up");
  assert.ok(on.picks(6).includes("1"));
});

test("a trial that fails puts it out for longer each time, up to the longest, and that is forgotten in time", () => {
  const on = harness(3, { maxEjection: 70_000 });
  fail(on, "1", 5);
  for (const ms of [30_000, 60_000, 70_000, 70_000]) {
    on.clock.advance(ms - 1);
    assert.equal(stateOf(on, "1"), "ejected", `${ms}`);
    on.clock.advance(1);
    assert.equal(on.pick()?.id, "1");
    fail(on, "1");
  }
  on.clock.advance(70_000);
  on.pick();
  ok(on, "1");
  on.clock.advance(20 * BASE);
  fail(on, "1", 5);
  assert.equal(on.cluster.stats()[0]?.ejected?.times, 1);
});

test("a trial that says nothing is followed by another, and so is one that does not end", () => {
  const on = harness(3);
  fail(on, "1", 5);
  on.clock.advance(BASE);
  assert.equal(on.pick()?.id, "1");
  end(on, "1", "cancelled");
  assert.equal(on.pick()?.id, "1");
  assert.notEqual(on.pick()?.id, "1");
  on.clock.advance(10_000);
  return new Promise<void>((resolve) => {
    // The time of a turn of the event loop stands still until its end.
    setImmediate(() => {
      assert.equal(on.pick()?.id, "1", "the first may be a stream of hours");
      resolve();
    });
  });
});

test("calls that began before a trial do not decide it", () => {
  const on = harness(3);
  on.endpoint("1").started();
  fail(on, "1", 5);
  on.clock.advance(BASE);
  on.pick();
  on.endpoint("1").done(report("ok", { status: 0, startedAt: 0, endedAt: on.clock.now() }));
  assert.equal(stateOf(on, "1"), "halfOpen");
  fail(on, "1");
  assert.equal(stateOf(on, "1"), "ejected");
});

test("at most half of those that accept connections are out, rounded down, one of two, never the only one", () => {
  for (const [count, most] of [
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [10, 5],
  ] as const) {
    const on = harness(count);
    for (let id = 1; id <= count; id++) fail(on, String(id), 5);
    const out = on.cluster.stats().filter(({ state }) => state === "ejected").length;
    assert.equal(out, most, `${count} endpoints`);
    assert.equal(on.cluster.ejections.suppressed, count - most);
  }
});

test("endpoints that refuse connections do not count, and one that is out comes back when others go", async () => {
  const on = harness(3);
  fail(on, "1", 5);
  assert.equal(stateOf(on, "1"), "ejected");
  on.on(2).mode = "refuse";
  on.on(3).mode = "refuse";
  await on.call();
  await on.call();
  assert.deepEqual([stateOf(on, "2"), stateOf(on, "3")], ["unreachable", "unreachable"]);
  assert.equal(stateOf(on, "1"), "up", "there is no other");
  assert.equal((await on.call()).id, "1");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("a process that is another one is tried at once", async () => {
  const on = harness(2);
  assert.equal((await on.call()).id, "1");
  fail(on, "1", 5);
  on.on(1).mode = "refuse";
  await on.clock.pass(1000);
  for (const { transport } of on.on(1).standing) transport.destroy();
  await on.clock.pass(50);
  assert.equal(on.endpoint("1").state.kind, "unreachable");
  on.on(1).mode = "accept";
  await on.clock.pass(2000);
  assert.equal(stateOf(on, "1"), "halfOpen");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("ejection survives what discovery says anew, and ends with the endpoint", async () => {
  const on = harness(3);
  fail(on, "1", 5);
  on.discover(spec(1, { weight: 3 }), spec(2), spec(4));
  assert.equal(stateOf(on, "1"), "ejected");
  on.discover(spec(2), spec(4));
  on.discover(spec(1), spec(2), spec(4));
  assert.equal(stateOf(on, "1"), "up", "it is another one that was never judged");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("ejection survives other settings, unless they say that nobody is to be out", () => {
  const on = harness(3);
  fail(on, "1", 5);
  const use = (more: Partial<OutlierSettings>): void =>
    on.cluster.usePolicy({ ...inTurn, outlierDetection: { ...defaultOutlierSettings, ...more } });
  use({ consecutiveFailures: 10 });
  assert.equal(stateOf(on, "1"), "ejected");
  use({ mode: "disabled" });
  assert.equal(stateOf(on, "1"), "up");
  fail(on, "1", 50);
  assert.equal(stateOf(on, "1"), "up");
});

test("of the calls that one connection takes with it one counts", () => {
  const on = harness(3);
  const lost = { status: Status.UNAVAILABLE, reason: "UPSTREAM_LOST" } as const;
  on.clock.advance(1000);
  for (let n = 0; n < 20; n++) end(on, "1", "failure", { ...lost, startedAt: 10 * n });
  assert.equal(stateOf(on, "1"), "up");
  for (let n = 0; n < 4; n++) {
    on.clock.advance(10);
    end(on, "1", "failure", lost);
  }
  assert.equal(stateOf(on, "1"), "ejected");
});

test("an endpoint that fails too often, though never in a row, is found by its share of failures", async () => {
  const failurePercentage = { threshold: 0.5, minimumCalls: 20, minimumEndpoints: 2 };
  const on = harness(3, { failurePercentage });
  for (let n = 0; n < 30; n++) {
    fail(on, "1");
    ok(on, "1");
    ok(on, "2");
    ok(on, "2");
  }
  assert.equal(stateOf(on, "1"), "up");
  on.clock.advance(defaultOutlierSettings.interval);
  assert.equal(stateOf(on, "1"), "ejected");
  assert.equal(on.cluster.stats()[0]?.ejected?.detail, "30 of 60 calls failed");
  assert.equal(stateOf(on, "2"), "up");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("an endpoint that is worse than the others is found by its success rate", () => {
  const successRate = { deviations: 1, minimumCalls: 50, minimumEndpoints: 3 };
  const on = harness(5, { successRate });
  for (let n = 0; n < 100; n++)
    for (const id of ["1", "2", "3", "4"])
      if (n % 10 === 0 && id === "4") fail(on, id);
      else ok(on, id);
  on.clock.advance(defaultOutlierSettings.interval);
  assert.deepEqual(
    ["1", "2", "3", "4", "5"].map((id) => stateOf(on, id)),
    ["up", "up", "up", "ejected", "up"],
  );
});

test("too few calls or endpoints in an interval prove nothing", () => {
  const failurePercentage = { threshold: 0.5, minimumCalls: 20, minimumEndpoints: 2 };
  const on = harness(3, { failurePercentage, consecutiveFailures: 1000 });
  fail(on, "1", 100);
  on.clock.advance(defaultOutlierSettings.interval);
  assert.equal(stateOf(on, "1"), "up", "it is the only one with so many calls");
  fail(on, "1", 19);
  for (let n = 0; n < 100; n++) ok(on, "2");
  on.clock.advance(defaultOutlierSettings.interval);
  assert.equal(stateOf(on, "1"), "up", "what was before the interval is over");
});

test("an ejected endpoint is nobody that another attempt could go to", () => {
  const on = harness(2);
  fail(on, "1", 5);
  const two: Endpoint = on.endpoint("2");
  assert.equal(on.cluster.hasOther(undefined, two), false);
});

test("what the last calls of an endpoint come to that has left, or cannot be reached, ejects nobody", async () => {
  const on = harness(3);
  const one = on.endpoint("1");
  on.discover(spec(2), spec(3));
  for (let n = 0; n < 10; n++) {
    one.started();
    one.done(report("ok", { status: Status.UNAVAILABLE }));
  }
  assert.equal(one.outlier.state.kind, "in");
  on.on(2).mode = "refuse";
  on.endpoint("2").pool.probe();
  await on.clock.pass(10);
  assert.equal(stateOf(on, "2"), "unreachable");
  fail(on, "2", 10);
  assert.equal(on.endpoint("2").outlier.state.kind, "in");
  assert.equal(on.cluster.ejections.byCause.size, 0);
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

test("on the word of another thread an endpoint is out until that one's time is over, or until it is let in", () => {
  const on = harness(3);
  const ejected = (endpoint: string, ms: number) =>
    on.cluster.hear({
      kind: "ejected",
      endpoint,
      cause: "consecutiveFailures",
      detail: "5 in a row",
      until: on.clock.wall() + ms,
    });
  const { label } = on.endpoint("1");
  ejected(label, 7000);
  assert.equal(stateOf(on, "1"), "ejected");
  on.clock.advance(6999);
  assert.equal(stateOf(on, "1"), "ejected");
  on.clock.advance(1);
  assert.equal(stateOf(on, "1"), "halfOpen");
  on.cluster.hear({ kind: "letIn", endpoint: label });
  assert.equal(stateOf(on, "1"), "up");
  ejected(label, 0);
  assert.equal(stateOf(on, "1"), "up", "what is over is no news");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Watch } from "../../src/core/watch.ts";
import type { Discovered, EndpointSpec } from "../../src/discovery/source.ts";
import { settled } from "../support/clock.ts";
import { ClusterHarness } from "./cluster-harness.ts";
import { spec } from "./endpoints.ts";

/** Another source's subscription to the same name. */
function another(): { state: Watch<Discovered>; uses: number; close: () => void; closed: number } {
  const state = new Watch<Discovered>({ kind: "pending", error: undefined });
  const subscription = { state, uses: 0, closed: 0, close: () => void subscription.closed++ };
  return subscription;
}

function answer(...endpoints: EndpointSpec[]): Discovered {
  return { kind: "known", endpoints, updatedAt: 1, staleSince: undefined, error: undefined };
}

test("a cluster whose source changes keeps its endpoints, as stale, until the new one answers", async () => {
  const harness = new ClusterHarness({}, spec(1), spec(2));
  const { cluster, clock } = harness;
  await harness.call();
  const kept = harness.endpoint("1");
  const next = another();
  cluster.useSource("directory", next);
  assert.deepEqual([cluster.source, cluster.size, cluster.known, harness.subscriptions], ["directory", 2, true, 0]);
  const { current } = cluster.state;
  assert.ok(current.kind === "known");
  assert.deepEqual([current.staleSince, current.error], [clock.wall(), "directory has not answered yet"]);
  assert.equal((await harness.call()).outcome, "answered");
  next.state.set(answer(spec(1), spec(3)));
  assert.ok(harness.endpoint("1") === kept, "an endpoint that both know stays what it is");
  assert.equal(cluster.size, 2);
  assert.equal(cluster.state.current.kind === "known" && cluster.state.current.staleSince, undefined);
  // What the old source says is of no interest any more.
  harness.discover(spec(9));
  assert.equal(cluster.size, 2);
  cluster.terminate("the test is over");
  assert.equal(next.closed, 1);
  await settled();
});

test("calls that wait for a source that does not answer go on with the one that takes its place", () => {
  const harness = new ClusterHarness();
  const told: string[] = [];
  harness.cluster.whenKnown(() => told.push("known"));
  const next = another();
  harness.cluster.useSource("directory", next);
  assert.deepEqual([told, harness.cluster.known], [[], false]);
  next.state.set(answer(spec(1)));
  assert.deepEqual([told, harness.picks(1)], [["known"], "1"]);
  harness.cluster.terminate("the test is over");
});

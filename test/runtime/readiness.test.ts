import assert from "node:assert/strict";
import { test } from "node:test";
import { Readiness } from "../../src/runtime/readiness.ts";
import { ClusterHarness } from "../cluster/cluster-harness.ts";
import { FakeClock } from "../support/clock.ts";

const STARTED = "2030-01-01T00:00:00.000Z";

test("a sidecar is ready once its listeners are bound and every declared upstream has had its first answer", () => {
  const clock = new FakeClock();
  const readiness = new Readiness(clock);
  const harness = new ClusterHarness();
  const state = () => readiness.state([harness.cluster], []);
  clock.advance(5000);
  assert.deepEqual(state(), {
    ready: false,
    waiting: [
      { what: "listeners", since: STARTED, detail: "not every listener is bound yet" },
      { what: "upstream orders", since: STARTED, detail: "consul has not answered for orders yet" },
    ],
  });
  readiness.listenersBound();
  assert.deepEqual(state(), {
    ready: false,
    waiting: [{ what: "upstream orders", since: STARTED, detail: "consul has not answered for orders yet" }],
  });
  harness.state.set({ kind: "pending", error: "connection refused" });
  assert.match(JSON.stringify(state()), /connection refused/, "it says why");
  harness.discover();
  assert.deepEqual(state(), { ready: true }, "no instance is an answer as well");
  harness.cluster.close();
});

test("while it drains it is not ready, and says since when", () => {
  const clock = new FakeClock();
  const readiness = new Readiness(clock);
  readiness.listenersBound();
  assert.deepEqual(readiness.state([], []), { ready: true });
  clock.advance(1000);
  readiness.drainBegan();
  clock.advance(1000);
  readiness.drainBegan();
  assert.deepEqual(readiness.state([], []), {
    ready: false,
    waiting: [{ what: "drain", since: "2030-01-01T00:00:01.000Z", detail: "the sidecar is shutting down" }],
  });
});

test("what comes to be waited for after it was ready is told, and keeps no calls away", () => {
  const readiness = new Readiness(new FakeClock());
  readiness.listenersBound();
  assert.deepEqual(readiness.state([], []), { ready: true });
  const harness = new ClusterHarness();
  assert.deepEqual(readiness.state([harness.cluster], ["the last configuration was refused"]), {
    ready: true,
    detail: "the last configuration was refused; consul has not answered for orders yet",
  });
  harness.cluster.close();
});

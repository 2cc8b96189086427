import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../../src/cluster/cluster.ts";
import { Watch } from "../../src/core/watch.ts";
import type { Discovered, Subscription } from "../../src/discovery/source.ts";
import { FakeClock } from "../support/clock.ts";
import { ANY, poolServices } from "./endpoints.ts";

test("each pick is counted with discovery, which asks about busy names first", () => {
  const state = new Watch<Discovered>({ kind: "pending", error: undefined });
  const subscription: Subscription = { state, uses: 0, close() {} };
  const connect = (): never => assert.fail("nobody is dialled");
  const services = poolServices(connect, new FakeClock());
  const cluster = new Cluster({ name: "orders", source: "consul" }, subscription, services);
  for (let n = 0; n < 3; n++) cluster.pick(ANY);
  assert.equal(subscription.uses, 3);
  cluster.close();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import type { Cluster } from "../../../src/cluster/cluster.ts";
import { routeFilters } from "../../../src/filters/index.ts";
import { AccessLog } from "../../../src/observability/access-log.ts";
import { UpstreamSeries } from "../../../src/observability/upstream-series.ts";
import type { Resolution, Target } from "../../../src/proxy/target.ts";
import { OnDemand, type OnDemandLimits } from "../../../src/runtime/upstreams/on-demand.ts";
import { ClusterHarness } from "../../cluster/cluster-harness.ts";
import { spec } from "../../cluster/endpoints.ts";
import { accessRules, accessServices } from "../../support/access-services.ts";
import { FakeClock } from "../../support/clock.ts";

const limits: OnDemandLimits = { max: 3, idle: 600_000, negative: 5000, rate: 2 };

/** The names of callers, over clusters that the test tells what discovery says. */
class Names {
  readonly clock = new FakeClock();
  readonly harnesses = new Map<string, ClusterHarness>();
  readonly forgotten: string[] = [];
  readonly names: OnDemand;

  constructor(more: Partial<OnDemandLimits> = {}) {
    const host = {
      cluster: (name: string) => this.cluster(name),
      target: (cluster: Cluster) => target(cluster),
      forget: ({ name }: Target) => void this.forgotten.push(name),
    };
    this.names = new OnDemand({ ...limits, ...more }, host, this.clock);
  }

  /** What a call for `name` reads. */
  ask(name: string): string {
    return said(this.names.lookup(name));
  }

  of(name: string): ClusterHarness {
    const harness = this.harnesses.get(name);
    assert.ok(harness !== undefined, `${name} was looked up`);
    return harness;
  }

  private cluster(name: string): Cluster {
    const harness = new ClusterHarness({ name });
    this.harnesses.set(name, harness);
    return harness.cluster;
  }
}

function target(cluster: Cluster): Target {
  const series = new UpstreamSeries("outbound", cluster.name, { max: 1, used: 0, metered: false });
  const accessLog = new AccessLog(pino({ enabled: false }), accessRules("none"), accessServices);
  return {
    name: cluster.name,
    cluster,
    series,
    filters: routeFilters({
      series,
      accessLog,
      tracer: undefined,
      timeout: undefined,
      concurrency: undefined,
      rates: undefined,
    }),
  };
}

function said(resolution: Resolution): string {
  return resolution.kind === "failed" ? resolution.failure.reason : resolution.kind;
}

/** A call for `name` that waits: what it finds each time that it is told to ask again. */
function waiting(names: Names, name: string): string[] {
  const found: string[] = [];
  const resolution = names.names.lookup(name);
  assert.equal(resolution.kind, "wait");
  if (resolution.kind === "wait") resolution.settle(() => void found.push(names.ask(name)));
  return found;
}

test("a name waits for its first answer, and is a target or has no instance then", () => {
  const names = new Names();
  const found = waiting(names, "orders");
  const missing = waiting(names, "nobody");
  names.of("orders").discover(spec(1));
  names.of("nobody").discover();
  assert.deepEqual([found, missing], [["target"], ["NO_ENDPOINTS"]]);
  assert.deepEqual([names.ask("orders"), names.ask("nobody")], ["target", "NO_ENDPOINTS"]);
});

test("calls that wait when their name is given up are told once, and may look it up anew", () => {
  const names = new Names();
  const found = waiting(names, "users");
  names.names.clear();
  assert.deepEqual(found, ["wait"]);
});

test("calls that wait when their name is declared go with its cluster", () => {
  const names = new Names();
  const resolution = names.names.lookup("orders");
  let told = 0;
  if (resolution.kind === "wait") resolution.settle(() => told++);
  assert.equal(names.names.release("orders"), names.of("orders").cluster);
  assert.deepEqual([told, names.names.size, names.of("orders").subscriptions], [0, 0, 1]);
  names.of("orders").discover(spec(1));
  assert.equal(told, 1);
  assert.equal(names.names.release("orders"), undefined);
});

test("a name that is not declared any more keeps its cluster while there is room, and goes as any other", () => {
  const names = new Names({ max: 1 });
  const declared = new ClusterHarness({ name: "orders" });
  declared.discover(spec(1));
  assert.equal(names.names.adopt("orders", declared.cluster), true);
  const found = names.names.lookup("orders");
  assert.ok(found.kind === "target" && found.target.cluster === declared.cluster, "the same cluster");
  assert.equal(names.names.adopt("users", new ClusterHarness({ name: "users" }).cluster), false, "there is no room");
  names.clock.advance(601_000);
  assert.deepEqual([names.names.size, names.forgotten, declared.subscriptions], [0, ["orders"], 0]);
});

test("a name without an instance goes after `negative`, also where nobody stayed for the answer", () => {
  const names = new Names();
  const given = names.names.lookup("nobody");
  if (given.kind === "wait") given.settle(() => assert.fail("told after giving up"))();
  names.clock.advance(60_000);
  assert.equal(names.names.size, 1, "nothing is known of it yet");
  names.of("nobody").discover();
  names.clock.advance(7000);
  assert.equal(names.names.size, 0);
  assert.equal(names.of("nobody").subscriptions, 0, "its watch is given back");
});

test("a name that came to have an instance stays for as long as it is used, and its series go with it", () => {
  const names = new Names();
  names.ask("orders");
  names.of("orders").discover();
  names.clock.advance(3000);
  names.of("orders").discover(spec(1));
  names.clock.advance(300_000);
  assert.equal(names.ask("orders"), "target");
  names.clock.advance(599_000);
  assert.equal(names.names.size, 1);
  names.clock.advance(2000);
  assert.deepEqual([names.names.size, names.forgotten], [0, ["orders"]]);
});

test("no more names are held than `max`, and no more are asked for than `rate`", () => {
  const names = new Names();
  assert.deepEqual(
    ["a", "b", "c", "a"].map((name) => names.ask(name)),
    ["wait", "wait", "LOOKUP_LIMIT", "wait"],
  );
  names.clock.advance(1000);
  assert.deepEqual(
    ["c", "d"].map((name) => names.ask(name)),
    ["wait", "LOOKUP_LIMIT"],
  );
});

test("a rate below one a second lets a name through in its time", () => {
  const names = new Names({ rate: 0.5 });
  assert.deepEqual(
    ["a", "b"].map((name) => names.ask(name)),
    ["wait", "LOOKUP_LIMIT"],
  );
  names.clock.advance(1000);
  assert.equal(names.ask("b"), "LOOKUP_LIMIT");
  names.clock.advance(1000);
  assert.deepEqual(
    ["b", "c"].map((name) => names.ask(name)),
    ["wait", "LOOKUP_LIMIT"],
  );
});

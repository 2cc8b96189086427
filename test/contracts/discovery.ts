import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Discovered, DiscoverySource } from "../../src/discovery/source.ts";
import { hostOf, hosts, type LogLine, until, untilFresh, untilHosts, untilStale } from "../discovery/services.ts";

/** What a test publishes. */
export interface Instance {
  readonly host: string;
  readonly port: number;
  readonly weight?: number;
  readonly meta?: Readonly<Record<string, string>>;
}

/** A source over a backend that the test has in its hands. */
export interface SourceHarness {
  readonly source: DiscoverySource;
  readonly lines: readonly LogLine[];
  /** Makes these, and no others, the healthy instances of a name; resolves when the backend has them. */
  readonly publish: (name: string, instances: readonly Instance[]) => Promise<void>;
  /** Makes the backend unusable, and usable again as it was. */
  readonly fail: () => Promise<void>;
  readonly heal: () => Promise<void>;
  /** How many queries or files the source holds open in the backend; undefined where that cannot be seen. */
  readonly held: () => number | undefined;
  readonly close: () => Promise<void>;
}

export interface ContractOptions {
  /** Passed to each test. */
  readonly skip?: string | false;
  /** Why parts do not apply. */
  readonly withoutFailure?: string;
  readonly withoutMeta?: string;
}

/** What every source of endpoints promises, whatever is behind it. */
export function discoveryContract(
  name: string,
  open: () => Promise<SourceHarness>,
  options: ContractOptions = {},
): void {
  const check = (title: string, body: (harness: SourceHarness) => Promise<void>, skip?: string | false) => {
    void test(`${name}: ${title}`, { skip: skip ?? options.skip ?? false }, async () => {
      const harness = await open();
      try {
        await body(harness);
      } finally {
        await harness.source.close();
        await harness.close();
      }
    });
  };

  check("the first answer has the instances", async ({ source, publish }) => {
    await publish("orders", [
      { host: "127.0.0.1", port: 7001 },
      { host: "127.0.0.1", port: 7002 },
    ]);
    const { state } = source.subscribe("orders");
    const known = await untilHosts(state, ["127.0.0.1:7001", "127.0.0.1:7002"]);
    assert.ok(known.kind === "known");
    assert.equal(known.staleSince, undefined);
    assert.equal(known.error, undefined);
    assert.ok(Math.abs(known.updatedAt - Date.now()) < 5000);
    assert.equal(new Set(known.endpoints.map((endpoint) => endpoint.id)).size, 2);
    assert.deepEqual(
      known.endpoints.map((endpoint) => endpoint.weight),
      [1, 1],
    );
  });

  check("a name without an instance is known to be empty", async ({ source }) => {
    await untilHosts(source.subscribe("nobody").state, []);
  });

  check("every holder sees every change, and those of its own name only", async ({ source, publish }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
    await publish("billing", [{ host: "127.0.0.1", port: 9001 }]);
    const orders = source.subscribe("orders");
    const billing = source.subscribe("billing");
    await untilHosts(orders.state, ["127.0.0.1:7001"]);
    await untilHosts(billing.state, ["127.0.0.1:9001"]);
    await publish("orders", [
      { host: "127.0.0.1", port: 7001 },
      { host: "127.0.0.1", port: 7002 },
    ]);
    await untilHosts(orders.state, ["127.0.0.1:7001", "127.0.0.1:7002"]);
    await publish("orders", [{ host: "127.0.0.1", port: 7002 }]);
    await untilHosts(orders.state, ["127.0.0.1:7002"]);
    assert.deepEqual(hosts(billing.state.current), ["127.0.0.1:9001"]);
  });

  check("an instance that goes is gone, the last one too", async ({ source, publish }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
    const { state } = source.subscribe("orders");
    await untilHosts(state, ["127.0.0.1:7001"]);
    await publish("orders", []);
    await untilHosts(state, []);
    assert.ok(state.current.kind === "known");
    assert.equal(state.current.staleSince, undefined);
  });

  check("a change is seen within 100 ms", async ({ source, publish }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7000 }]);
    const { state } = source.subscribe("orders");
    await untilHosts(state, ["127.0.0.1:7000"]);
    const delays: number[] = [];
    for (let port = 7001; port <= 7005; port++) {
      await sleep(50);
      await publish("orders", [{ host: "127.0.0.1", port }]);
      const begin = performance.now();
      await untilHosts(state, [`127.0.0.1:${port}`]);
      delays.push(performance.now() - begin);
    }
    // The middle one: the machine may be busy with something else for a moment.
    const median = delays.sort((a, b) => a - b)[2] ?? Number.POSITIVE_INFINITY;
    assert.ok(median < 100, `${delays.map(Math.round).join(", ")} ms`);
  });

  check("an instance keeps its id while its list changes", async ({ source, publish }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
    const { state } = source.subscribe("orders");
    const before = endpointsOf(await untilHosts(state, ["127.0.0.1:7001"]));
    await publish("orders", [
      { host: "127.0.0.1", port: 7000 },
      { host: "127.0.0.1", port: 7001 },
    ]);
    const after = endpointsOf(await untilHosts(state, ["127.0.0.1:7000", "127.0.0.1:7001"]));
    assert.equal(after.find((endpoint) => hostOf(endpoint) === "127.0.0.1:7001")?.id, before[0]?.id);
  });

  check("all holders of a name share one watch", async ({ source, publish, held }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
    const first = source.subscribe("orders");
    await untilHosts(first.state, ["127.0.0.1:7001"]);
    const second = source.subscribe("orders");
    assert.equal(second.state, first.state);
    await sleep(50);
    assert.ok((held() ?? 1) <= 1);
    first.close();
    first.close();
    await publish("orders", [{ host: "127.0.0.1", port: 7002 }]);
    await untilHosts(second.state, ["127.0.0.1:7002"]);
  });

  check("the watch ends with the last holder, and a new one begins anew", async ({ source, publish, held }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
    const first = source.subscribe("orders");
    await untilHosts(first.state, ["127.0.0.1:7001"]);
    first.close();
    await sleep(50);
    assert.equal(held() ?? 0, 0);
    await publish("orders", [{ host: "127.0.0.1", port: 7002 }]);
    await sleep(50);
    assert.deepEqual(hosts(first.state.current), ["127.0.0.1:7001"]);
    const second = source.subscribe("orders");
    assert.notEqual(second.state, first.state);
    await untilHosts(second.state, ["127.0.0.1:7002"]);
  });

  check("close frees everything, whoever still holds a name", async ({ source, publish, held }) => {
    await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
    const orders = source.subscribe("orders");
    source.subscribe("billing");
    await untilHosts(orders.state, ["127.0.0.1:7001"]);
    await source.close();
    await sleep(20);
    assert.equal(held() ?? 0, 0);
    orders.close();
    await source.close();
    assert.throws(() => source.subscribe("orders"), /closed/);
  });

  check("an endpoint that no call may go to is dropped and told of once", async ({ source, lines, publish }) => {
    await publish("orders", [
      { host: "127.0.0.1", port: 7001 },
      { host: "169.254.1.1", port: 7002 },
    ]);
    const { state } = source.subscribe("orders");
    await untilHosts(state, ["127.0.0.1:7001"]);
    await publish("orders", [
      { host: "127.0.0.1", port: 7003 },
      { host: "169.254.1.1", port: 7002 },
    ]);
    await untilHosts(state, ["127.0.0.1:7003"]);
    const told = lines.filter((line) => line.reason === "BAD_ENDPOINT");
    assert.deepEqual(
      told.map((line) => line.msg),
      ["endpoint 169.254.1.1:7002 of orders is link-local and is not used"],
    );
  });

  check(
    "weight, zone and meta are those of the instance",
    async ({ source, publish }) => {
      const meta = { zone: "a", version: "v2" };
      await publish("orders", [{ host: "127.0.0.1", port: 7001, weight: 7, meta }]);
      const { state } = source.subscribe("orders");
      const before = endpointsOf(await untilHosts(state, ["127.0.0.1:7001"]))[0];
      assert.equal(before?.weight, 7);
      assert.equal(before.zone, "a");
      assert.deepEqual({ ...before.meta }, meta);
      await publish("orders", [{ host: "127.0.0.1", port: 7001, weight: 3, meta: {} }]);
      const after = await until(
        () => endpointsOf(state.current)[0],
        (endpoint) => endpoint?.weight === 3,
      );
      assert.deepEqual([after?.id, after?.zone], [before.id, undefined]);
    },
    options.withoutMeta,
  );

  check(
    "what was known stays through a failure, with one line for each change of state",
    async ({ source, lines, publish, fail, heal }) => {
      await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
      const { state } = source.subscribe("orders");
      const before = endpointsOf(await untilHosts(state, ["127.0.0.1:7001"]));
      await fail();
      const begin = Date.now();
      assert.notEqual(await untilStale(state), "");
      await sleep(300);
      const stale = state.current;
      assert.ok(stale.kind === "known");
      assert.equal(stale.endpoints, before);
      assert.ok((stale.staleSince ?? 0) >= begin - 1000);
      assert.equal(lines.filter((line) => line.level === 40 && line.upstream === "orders").length, 1);
      await heal();
      await untilFresh(state, 10_000);
      await publish("orders", [{ host: "127.0.0.1", port: 7002 }]);
      await untilHosts(state, ["127.0.0.1:7002"], 10_000);
      assert.equal(lines.filter((line) => line.level === 30 && line.upstream === "orders").length, 1);
    },
    options.withoutFailure,
  );

  check(
    "a name that is asked for while nothing answers waits for the first answer",
    async ({ source, publish, fail, heal }) => {
      await publish("orders", [{ host: "127.0.0.1", port: 7001 }]);
      await fail();
      const { state } = source.subscribe("orders");
      const { kind } = await until(
        () => state.current,
        (current) => current.error !== undefined,
      );
      assert.equal(kind, "pending");
      await heal();
      await untilHosts(state, ["127.0.0.1:7001"], 10_000);
    },
    options.withoutFailure,
  );
}

function endpointsOf(discovered: Discovered) {
  assert.ok(discovered.kind === "known");
  return discovered.endpoints;
}

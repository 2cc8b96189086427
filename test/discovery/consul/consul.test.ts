import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConsulSource } from "../../../src/discovery/consul/consul.ts";
import { discoveryContract } from "../../contracts/discovery.ts";
import { hosts, testServices, until, untilFresh, untilHosts, untilStale } from "../services.ts";
import { FakeConsul, refuse } from "./fake-consul.ts";
import { consulOptions, FAST, TWO, TWO_HOSTS, withFake } from "./support.ts";

for (const streaming of [true, false]) {
  discoveryContract(streaming ? "consul" : "consul without streaming", async () => {
    const fake = await new FakeConsul().start();
    fake.streaming = streaming;
    const services = testServices();
    return {
      source: new ConsulSource(consulOptions(fake.address), services, FAST),
      lines: services.lines,
      publish: async (name, instances) => fake.set(name, instances),
      fail: () => fake.stop(),
      heal: async () => void (await fake.start()),
      held: () => fake.held,
      close: () => fake.stop(),
    };
  });
}

test("a query asks for passing instances, stale, with the index and a bounded wait", async () => {
  const consul = { token: "secret", datacenter: "east", namespace: "shop", partition: "web" };
  await withFake(
    async ({ fake, orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      await until(
        () => fake.held,
        (held) => held === 1,
      );
      const [first, second] = fake.health();
      assert.equal(first?.path, "/v1/health/service/orders");
      assert.equal(first.token, "secret");
      assert.deepEqual(first.query, { passing: "1", stale: "1", dc: "east", ns: "shop", partition: "web" });
      assert.equal(second?.query.index, "101");
      assert.match(second.query.wait ?? "", /^\d+ms$/);
      assert.ok(Number.parseInt(second.query.wait ?? "", 10) <= 150);
    },
    { consul },
  );
});

test("waits differ from query to query", async () => {
  await withFake(
    async ({ fake }) => {
      const requests = await until(
        () => fake.health(),
        (all) => all.length > 12,
      );
      const waits = requests.map((request) => request.query.wait).filter((wait) => wait !== undefined);
      assert.ok(new Set(waits).size > 2, waits.join(" "));
    },
    { timings: { wait: 100, wakeBurst: 100 } },
  );
});

test("a wait without news ends with a question to a server, for an agent's view goes on without servers", async () => {
  await withFake(
    async ({ fake, orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      // As an agent does whose servers are gone: only what does not block is passed on to them, and fails.
      fake.script = (request, response) => {
        if (request.query.index !== undefined) return false;
        refuse(response, 500, "No known Consul servers");
        return true;
      };
      assert.match(await untilStale(orders.state), /answers 500: No known Consul servers$/);
      fake.script = () => false;
      await untilFresh(orders.state);
    },
    { timings: { wait: 100 } },
  );
});

test("without news the list is confirmed again and again", async () => {
  await withFake(
    async ({ orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      const { current } = orders.state;
      assert.ok(current.kind === "known");
      const { updatedAt } = current;
      await until(
        () => orders.state.current,
        (next) => next.kind === "known" && next.updatedAt > updatedAt && next.endpoints === current.endpoints,
      );
    },
    { timings: { wait: 100 } },
  );
});

test("a name with any character is one path segment", async () => {
  await withFake(async ({ fake, source }) => {
    const odd = source.subscribe("a/b ?c");
    await untilHosts(odd.state, []);
    assert.ok(fake.requests.some((request) => request.path === "/v1/health/service/a%2Fb%20%3Fc"));
  });
});

test("an agent behind a path is found", async () => {
  const fake = await new FakeConsul().start();
  fake.script = (_request, response) => {
    response.writeHead(200, { "x-consul-index": "7" }).end("[]");
    return true;
  };
  const source = new ConsulSource(consulOptions(`${fake.address}/behind/`), testServices(), FAST);
  try {
    await untilHosts(source.subscribe("orders").state, []);
    assert.equal(fake.requests[0]?.path, "/behind/v1/health/service/orders");
  } finally {
    await source.close();
    await fake.stop();
  }
});

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"));

test("an agent at an IPv6 address is found", { skip: hasIpv6 ? false : "no IPv6 loopback here" }, async () => {
  const fake = await new FakeConsul("::1").start();
  fake.set("orders", TWO);
  const source = new ConsulSource(consulOptions(fake.address), testServices(), FAST);
  try {
    await untilHosts(source.subscribe("orders").state, TWO_HOSTS);
  } finally {
    await source.close();
    await fake.stop();
  }
});

test("an agent that answers at once with the same index is not asked in a spin", async () => {
  await withFake(
    async ({ fake, orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      await sleep(500);
      // A burst of 4, then one each 50 ms.
      assert.ok(fake.health().length <= 4 + 12, `${fake.health().length} queries`);
      assert.ok(fake.health().length > 4);
    },
    {
      timings: { wakeInterval: 50 },
      prepare: (fake) => {
        fake.script = (request) => {
          // As if it did not know of blocking queries.
          Reflect.deleteProperty(request.query, "index");
          return false;
        };
      },
    },
  );
});

test("a list that changes all the time is followed at a bounded rate, and its last state is seen", async () => {
  await withFake(
    async ({ fake, orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      const before = fake.health().length;
      for (let port = 8000; port < 8100; port++) {
        fake.set("orders", [{ host: "127.0.0.1", port }]);
        await sleep(5);
      }
      await untilHosts(orders.state, ["127.0.0.1:8099"]);
      assert.ok(fake.health().length - before <= 4 + 30, `${fake.health().length - before} queries`);
    },
    { timings: { wakeInterval: 50 } },
  );
});

test("an index that goes backwards is reset", async () => {
  await withFake(async ({ fake, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    await until(
      () => fake.held,
      (held) => held === 1,
    );
    const before = fake.health().length;
    fake.index = 5;
    fake.set("orders", [{ host: "127.0.0.1", port: 7003 }]);
    await untilHosts(orders.state, ["127.0.0.1:7003"]);
    await until(
      () => fake.held,
      (held) => held === 1,
    );
    assert.deepEqual(
      fake
        .health()
        .slice(before)
        .map((request) => request.query.index),
      [undefined, "6"],
    );
    fake.set("orders", TWO);
    await untilHosts(orders.state, TWO_HOSTS);
  });
});

test("more names than slots share them in turn, and all are answered and stay up to date", async () => {
  await withFake(async ({ fake, source }) => {
    let most = 0;
    fake.script = () => {
      most = Math.max(most, fake.held + 1);
      return false;
    };
    const subscriptions = Array.from({ length: 150 }, (_, n) => {
      fake.setQuietly(`name-${n}`, [{ host: "127.0.0.1", port: 7000 + n }]);
      return source.subscribe(`name-${n}`);
    });
    for (const [n, { state }] of subscriptions.entries()) await untilHosts(state, [`127.0.0.1:${7000 + n}`]);
    fake.set("name-149", [{ host: "127.0.0.1", port: 9149 }]);
    fake.set("name-0", [{ host: "127.0.0.1", port: 9000 }]);
    const [first, last] = [subscriptions[0], subscriptions[149]];
    assert.ok(first !== undefined && last !== undefined);
    await untilHosts(first.state, ["127.0.0.1:9000"]);
    await untilHosts(last.state, ["127.0.0.1:9149"]);
    assert.ok(most <= 64, `${most} at once`);
    assert.ok((await fake.connections()) <= 64);
  });
});

test("a closed subscription leaves the queue for a slot", async () => {
  await withFake(async ({ fake, source }) => {
    const many = Array.from({ length: 80 }, (_, n) => source.subscribe(`name-${n}`));
    for (const subscription of many) subscription.close();
    await until(
      () => fake.held,
      (held) => held === 1,
    );
    fake.set("orders", [{ host: "127.0.0.1", port: 7009 }]);
    await until(
      () => fake.requests.at(-1)?.path,
      (path) => path === "/v1/health/service/orders",
    );
  });
});

test("close leaves no connection behind, nor does it wait for a blocking query", async () => {
  await withFake(async ({ fake, source, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    const begin = performance.now();
    await source.close();
    assert.ok(performance.now() - begin < 200);
    await sleep(20);
    assert.equal(await fake.connections(), 0);
    const count = fake.requests.length;
    await sleep(100);
    assert.equal(fake.requests.length, count);
    assert.deepEqual(hosts(orders.state.current), TWO_HOSTS);
  });
});

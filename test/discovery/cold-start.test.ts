import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AnswerCache } from "../../src/discovery/answer-cache.ts";
import type { ConsulOptions } from "../../src/discovery/consul/client.ts";
import { ConsulSource } from "../../src/discovery/consul/consul.ts";
import type { Subscription } from "../../src/discovery/source.ts";
import { FakeConsul, refuse } from "./consul/fake-consul.ts";
import { consulOptions, FAST, TWO, TWO_HOSTS } from "./consul/support.ts";
import { hosts, type LogLine, testServices, until, untilFresh, untilHosts } from "./services.ts";

interface Life {
  readonly orders: Subscription;
  readonly lines: LogLine[];
}

interface Setup {
  readonly fake: FakeConsul;
  /** Runs a process's worth of discovery: from its start to its end, the cache written. */
  readonly live: (body: (life: Life) => Promise<void>, options?: Partial<ConsulOptions>) => Promise<void>;
}

async function withCache(body: (setup: Setup) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-cold-"));
  const fake = await new FakeConsul().start();
  fake.set("orders", TWO);
  const live: Setup["live"] = async (inside, options) => {
    const services = testServices();
    const cache = new AnswerCache(join(folder, "cache.json"), services);
    const source = new ConsulSource(consulOptions(fake.address, options), { ...services, cache }, FAST);
    try {
      await inside({ orders: source.subscribe("orders"), lines: services.lines });
    } finally {
      await source.close();
      await cache.close();
    }
  };
  try {
    await live(async ({ orders }) => void (await untilHosts(orders.state, TWO_HOSTS)));
    await body({ fake, live });
  } finally {
    await fake.stop();
    await rm(folder, { recursive: true });
  }
}

test("a start without Consul has the last good answer, and says of when it is", () =>
  withCache(async ({ fake, live }) => {
    await fake.stop();
    await sleep(50);
    const begin = Date.now();
    await live(async ({ orders, lines }) => {
      const known = await untilHosts(orders.state, TWO_HOSTS);
      assert.ok(known.kind === "known");
      assert.ok(known.updatedAt < begin - 40);
      assert.equal(known.staleSince, known.updatedAt);
      assert.match(known.error ?? "", /refuses connections/);
      assert.match(
        lines.find(({ level }) => level === 40)?.msg ?? "",
        /^no good answer for orders: the answer of \d+ s ago is used$/,
      );
      await fake.start();
      await untilFresh(orders.state);
      assert.deepEqual(hosts(orders.state.current), TWO_HOSTS);
    });
  }));

test("a start with Consul does not use it", () =>
  withCache(async ({ fake, live }) => {
    fake.set("orders", [{ host: "127.0.0.1", port: 7009 }]);
    await live(async ({ orders }) => {
      const seen: unknown[] = [];
      orders.state.onChange((state) => seen.push(hosts(state)));
      await untilHosts(orders.state, ["127.0.0.1:7009"]);
      assert.deepEqual(
        seen.filter((list) => JSON.stringify(list) !== '["127.0.0.1:7009"]'),
        [],
      );
    });
  }));

test("a Consul that knows nobody at a start is not believed at once, and in the end it is", () =>
  withCache(async ({ fake, live }) => {
    fake.set("orders", []);
    await live(async ({ orders }) => {
      const known = await untilHosts(orders.state, TWO_HOSTS);
      assert.match(known.error ?? "", /became empty right after an outage/);
      await untilHosts(orders.state, []);
      await untilFresh(orders.state);
    });
    // Which is remembered, too.
    fake.script = (_request, response) => {
      refuse(response, 500, "No cluster leader");
      return true;
    };
    await live(async ({ orders }) => {
      await until(
        () => orders.state.current.error,
        (error) => error !== undefined,
      );
      assert.equal(orders.state.current.kind, "pending");
    });
  }));

test("the answers of another agent, data centre or namespace are none", () =>
  withCache(async ({ fake, live }) => {
    await fake.stop();
    for (const options of [{ datacenter: "east" }, { namespace: "shop" }, { address: "http://127.0.0.1:9" }]) {
      await live(async ({ orders }) => {
        await until(
          () => orders.state.current.error,
          (error) => error !== undefined,
        );
        assert.equal(orders.state.current.kind, "pending", JSON.stringify(options));
      }, options);
    }
    // Another token asks the same agent.
    await live(async ({ orders }) => void (await untilHosts(orders.state, TWO_HOSTS)), { token: "another" });
  }));

test("an agent that is refused to a sidecar with too many connections answers from before after a while", () =>
  withCache(async ({ fake, live }) => {
    fake.script = (_request, response) => {
      refuse(response, 429, "Your IP is issuing too many concurrent connections, please rate limit your calls");
      return true;
    };
    await live(async ({ orders }) => {
      await until(
        () => orders.state.current,
        ({ kind, error }) => kind === "pending" && error?.includes("429") === true,
      );
      const known = await untilHosts(orders.state, TWO_HOSTS);
      assert.ok(known.kind === "known" && known.staleSince !== undefined);
    });
  }));

import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsulSource } from "../../src/discovery/consul/consul.ts";
import { ReplaceableSource } from "../../src/discovery/replaceable-source.ts";
import { FakeConsul, refuse } from "./consul/fake-consul.ts";
import { consulOptions, FAST, TWO, TWO_HOSTS } from "./consul/support.ts";
import { hosts, testServices, until, untilFresh, untilHosts, untilStale } from "./services.ts";

interface Setup {
  readonly first: FakeConsul;
  readonly second: FakeConsul;
  readonly source: ReplaceableSource;
  readonly make: (agent: FakeConsul) => ConsulSource;
}

async function withTwo(body: (setup: Setup) => Promise<void>): Promise<void> {
  const [first, second] = await Promise.all([new FakeConsul().start(), new FakeConsul().start()]);
  first.set("orders", TWO);
  const services = testServices();
  const make = (agent: FakeConsul) => new ConsulSource(consulOptions(agent.address), services, FAST);
  const source = new ReplaceableSource(make(first));
  try {
    await body({ first, second, source, make });
  } finally {
    await source.close();
    await Promise.all([first.stop(), second.stop()]);
  }
}

test("a subscription goes on over a replacement, and the answers are those of the new source", () =>
  withTwo(async ({ first, second, source, make }) => {
    second.set("orders", [{ host: "127.0.0.1", port: 7009 }]);
    const { state } = source.subscribe("orders");
    await untilHosts(state, TWO_HOSTS);
    await source.replace(make(second));
    await untilHosts(state, ["127.0.0.1:7009"]);
    assert.equal(first.held, 0);
  }));

test("a new source that does not answer leaves what was known, and says that it is stale", () =>
  withTwo(async ({ second, source, make }) => {
    second.script = (_request, response) => {
      refuse(response, 403, "ACL not found");
      return true;
    };
    const { state } = source.subscribe("orders");
    await untilHosts(state, TWO_HOSTS);
    await source.replace(make(second));
    assert.match(await untilStale(state), /refuses the token/);
    assert.deepEqual(hosts(state.current), TWO_HOSTS);
    second.script = () => false;
    second.set("orders", [{ host: "127.0.0.1", port: 7009 }]);
    await untilHosts(state, ["127.0.0.1:7009"]);
    await untilFresh(state);
  }));

test("a new source that knows nobody is not believed at once", () =>
  withTwo(async ({ second, source, make }) => {
    const { state } = source.subscribe("orders");
    await untilHosts(state, TWO_HOSTS);
    await source.replace(make(second));
    assert.match(await untilStale(state), /became empty right after an outage/);
    assert.deepEqual(hosts(state.current), TWO_HOSTS);
    await untilHosts(state, []);
  }));

test("calls are counted for the source that is in force", () =>
  withTwo(async ({ second, source, make }) => {
    const subscription = source.subscribe("orders");
    subscription.uses += 3;
    await source.replace(make(second));
    subscription.uses++;
    assert.equal(subscription.uses, 1);
    subscription.close();
    await until(
      () => second.held,
      (held) => held === 0,
    );
  }));

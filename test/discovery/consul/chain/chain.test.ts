import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AnswerCache } from "../../../../src/discovery/answer-cache.ts";
import { ConsulSource } from "../../../../src/discovery/consul/consul.ts";
import type { Discovered, Subscription } from "../../../../src/discovery/source.ts";
import { testServices, until } from "../../services.ts";
import { type FakeConsul, refuse } from "../fake-consul.ts";
import { consulOptions, FAST, withFake } from "../support.ts";

/** A chain that leads to one service; the default one where it is the asked one's own. */
function chainTo(service: string): object {
  const id = `${service}.default.default.dc1`;
  const target = { ID: id, Service: service, Namespace: "default", Partition: "default", Datacenter: "dc1" };
  return {
    Chain: {
      ServiceName: "web",
      Namespace: "default",
      Partition: "default",
      Datacenter: "dc1",
      Default: service === "web",
      Protocol: "grpc",
      StartNode: `resolver:${id}`,
      Nodes: { [`resolver:${id}`]: { Type: "resolver", Name: id, Resolver: { Target: id } } },
      Targets: { [id]: target },
    },
  };
}

/** What the agent says of the chain of `web`; questions that block are held until it changes. */
class ChainAgent {
  private index = 10;
  private chain = chainTo("api");
  private readonly held = new Set<ServerResponse>();
  /** Answers with this instead. */
  failure: ((response: ServerResponse) => void) | undefined = undefined;
  leader = true;
  asked: Readonly<Record<string, string>>[] = [];

  constructor(fake: FakeConsul) {
    fake.script = ({ path, query }, response) => {
      if (path !== "/v1/discovery-chain/web") return false;
      this.asked.push(query);
      if (this.failure !== undefined) this.failure(response);
      else if (query.index === `${this.index}`) this.held.add(response);
      else this.answer(response);
      return true;
    };
  }

  set(service: string, index = this.index + 1): void {
    this.chain = chainTo(service);
    this.index = index;
    for (const response of this.held) this.answer(response);
    this.held.clear();
  }

  private answer(response: ServerResponse): void {
    const leader = `${this.leader}`;
    response.writeHead(200, { "x-consul-index": `${this.index}`, "x-consul-knownleader": leader });
    response.end(JSON.stringify(this.chain));
  }
}

function leadsTo(state: Discovered): string | undefined {
  const routing = state.kind === "known" ? state.routing : undefined;
  return routing && /"Service":"(\w+)"/.exec(routing)?.[1];
}

async function untilState({ state }: Subscription, is: (state: Discovered) => boolean): Promise<Discovered> {
  return await until(() => state.current, is);
}

const untilTo = (subscription: Subscription, service: string) =>
  untilState(subscription, (state) => leadsTo(state) === service);
const untilStale = (subscription: Subscription) =>
  untilState(subscription, (state) => state.kind === "known" && state.staleSince !== undefined);
const untilFresh = (subscription: Subscription) =>
  untilState(subscription, (state) => state.kind === "known" && state.staleSince === undefined);

async function withChain(
  body: (web: Subscription, agent: ChainAgent, fake: FakeConsul) => Promise<void>,
): Promise<void> {
  await withFake(async ({ fake, source }) => {
    const agent = new ChainAgent(fake);
    const web = source.subscribe("chain:web");
    await untilTo(web, "api");
    await body(web, agent, fake);
  });
}

test("a chain is asked for by a query that blocks, and its change comes at once", () =>
  withChain(async (web, agent) => {
    agent.set("api2");
    await untilTo(web, "api2");
    assert.deepEqual(
      agent.asked.slice(0, 2).map(({ index, stale }) => [index, stale]),
      [
        [undefined, "1"],
        ["10", "1"],
      ],
    );
    assert.match(agent.asked[1]?.wait ?? "", /^\d+ms$/);
  }));

test("a chain is kept, as stale, through an outage, a refused token and an answer that is none", () =>
  withChain(async (web, agent, fake) => {
    const failures: [(response: ServerResponse) => void, RegExp][] = [
      [(response) => refuse(response, 403, "Permission denied"), /refuses the token/],
      [(response) => refuse(response, 500, "No cluster leader"), /has no cluster leader/],
      [(response) => void response.end("<html>"), /sent no discovery chain: it is no JSON/],
      [(response) => void response.end("{}"), /sent no discovery chain: it has no Chain.StartNode/],
    ];
    for (const [failure, message] of failures) {
      agent.failure = failure;
      agent.set("api");
      const state = await untilStale(web);
      assert.equal(leadsTo(state), "api");
      assert.match((state.kind === "known" && state.error) || "", message);
      agent.failure = undefined;
      await untilFresh(web);
    }
    await fake.stop();
    assert.equal(leadsTo(await untilStale(web)), "api");
    await fake.start();
    await untilFresh(web);
  }));

test("a server without its memory says nothing of a service; that is not believed at once", () =>
  withChain(async (web, agent) => {
    agent.set("web", 3);
    const state = await untilStale(web);
    assert.equal(leadsTo(state), "api");
    assert.match((state.kind === "known" && state.error) || "", /all config entries went away right after an outage/);
    await untilTo(web, "web");
  }));

test("config entries that are deleted while nothing is wrong are gone at once", () =>
  withChain(async (web, agent) => {
    agent.set("web");
    const state = await untilTo(web, "web");
    assert.ok(state.kind === "known");
    assert.equal(state.staleSince, undefined);
  }));

test("a server without a leader is believed only where nothing else is known", () =>
  withFake(async ({ fake, source }) => {
    const agent = new ChainAgent(fake);
    agent.leader = false;
    const web = source.subscribe("chain:web");
    const state = await untilTo(web, "api");
    assert.ok(state.kind === "known" && state.staleSince !== undefined);
    agent.set("api2");
    agent.leader = true;
    await untilTo(web, "api2");
    agent.leader = false;
    agent.set("api3");
    assert.equal(leadsTo(await untilStale(web)), "api2");
  }));

test("a start without Consul has the chain of an earlier day", async () => {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-chain-"));
  const live = async (address: string, body: (web: Subscription) => Promise<void>): Promise<void> => {
    const services = testServices();
    const cache = new AnswerCache(join(folder, "cache.json"), services);
    const source = new ConsulSource(consulOptions(address), { ...services, cache }, FAST);
    try {
      await body(source.subscribe("chain:web"));
    } finally {
      await source.close();
      await cache.close();
    }
  };
  try {
    await withFake(async ({ fake }) => {
      new ChainAgent(fake).set("api");
      await live(fake.address, async (web) => void (await untilTo(web, "api")));
      await fake.stop();
      await live(fake.address, async (web) => {
        const state = await untilTo(web, "api");
        assert.ok(state.kind === "known" && state.staleSince === state.updatedAt);
        assert.match(state.error ?? "", /refuses connections/);
      });
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConsulSource } from "../../../src/discovery/consul/consul.ts";
import { ConsulRegistrar } from "../../../src/discovery/consul/registrar.ts";
import { makeRegistration } from "../../../src/discovery/registration.ts";
import type { Subscription } from "../../../src/discovery/source.ts";
import { type Consul, type ConsulAnswer, startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { Relay } from "../../support/relay.ts";
import { hosts, type TestServices, testServices, until } from "../services.ts";
import { field } from "./real-support.ts";
import { consulOptions } from "./support.ts";

const NAMES = 300;
const SIDECARS = 8;
/** What an agent allows from one address by default (limits.http_max_conns_per_client). */
const ALLOWED = 200;

/** The discovery of a sidecar, over connections that are counted. */
interface Sidecar {
  readonly relay: Relay;
  readonly services: TestServices;
  readonly source: ConsulSource;
  readonly names: readonly Subscription[];
  readonly registrar: ConsulRegistrar;
}

async function startSidecar(consul: Consul, number: number): Promise<Sidecar> {
  const relay = await Relay.start(consul.port);
  const services = testServices();
  const options = consulOptions(relay.address);
  const source = new ConsulSource(options, services);
  const names = Array.from({ length: NAMES }, (_, n) => source.subscribe(`name-${n}`));
  const registrar = new ConsulRegistrar(options, services);
  registrar.setHealth(true, "SERVING");
  const advertised = { host: "127.0.0.1", port: 15_000 + number };
  const service = { name: "user", id: undefined, tags: [], meta: {} };
  void registrar.register(makeRegistration(service, advertised, { version: "1.2.3", mtls: "disabled" }));
  return { relay, services, source, names, registrar };
}

/** The test is a client of the agent like others, and is refused like them. */
async function ask(consul: Consul, method: string, path: string, body?: unknown): Promise<ConsulAnswer> {
  for (let tries = 0; ; tries++) {
    const answer = await consul.request(method, path, body).catch(() => undefined);
    if (answer?.status === 200) return answer;
    assert.ok(tries < 200, `${path}: ${answer?.status}`);
    await sleep(50);
  }
}

const register = (consul: Consul, n: number, port: number) =>
  ask(consul, "PUT", "/v1/agent/service/register", { ID: `s${n}`, Name: `name-${n}`, Address: "10.0.0.1", Port: port });

/** How long until all have seen a change of a name, in milliseconds. */
async function changed(consul: Consul, sidecars: readonly Sidecar[], n: number, port: number): Promise<number> {
  await register(consul, n, port);
  const begin = performance.now();
  const seen = () =>
    sidecars.filter(({ names }) => {
      const state = names[n]?.state.current;
      return state !== undefined && hosts(state)?.[0] === `10.0.0.1:${port}`;
    }).length;
  await until(seen, (count) => count === SIDECARS, 60_000);
  return performance.now() - begin;
}

test("8 sidecars with 300 names each live with one agent at its default limits", skipUnless("consul"), async (t) => {
  const consul = await startConsul();
  const sidecars: Sidecar[] = [];
  let calls: NodeJS.Timeout | undefined;
  try {
    for (let n = 0; n < NAMES; n++) await register(consul, n, 1000 + n);
    for (let number = 0; number < SIDECARS; number++) sidecars.push(await startSidecar(consul, number));
    const states = () => sidecars.flatMap(({ names }) => names.map(({ state }) => state.current));
    const known = () => states().filter(({ kind }) => kind === "known").length;
    await until(known, (count) => count === SIDECARS * NAMES, 120_000);

    // One name in 300 has calls, a hundred a second.
    calls = setInterval(() => {
      for (const { names } of sidecars) if (names[7] !== undefined) names[7].uses += 10;
    }, 100);
    const delays: number[] = [];
    for (let round = 0; round < 5; round++) {
      await sleep(1500);
      delays.push(await changed(consul, sidecars, 7, 2000 + round));
    }
    const idle = await changed(consul, sidecars, 290, 2000);
    const text = `busy after ${delays.map(Math.round).join(", ")} ms, idle after ${Math.round(idle)} ms`;
    t.diagnostic(text);
    const median = delays.sort((a, b) => a - b)[2] ?? Number.POSITIVE_INFINITY;
    // Bounds for a machine that is busy with other tests as well: at a load of 20 on two cores it took 3 s and 15 s.
    assert.ok(median < 10_000, text);
    assert.ok(idle < 50_000, text);

    const ages = states().map((state) => (state.kind === "known" ? Date.now() - state.updatedAt : Infinity));
    assert.ok(Math.max(...ages) < 60_000, `the oldest answer is of ${Math.round(Math.max(...ages))} ms ago`);
    assert.ok(states().every((state) => state.kind === "known" && state.endpoints.length === 1));
    // An answer that came too late on a busy machine is made good by the next one.
    const fresh = () => states().filter((state) => state.kind === "known" && state.staleSince === undefined).length;
    await until(fresh, (count) => count === SIDECARS * NAMES, 60_000);
    // The registration has a connection of its own.
    for (const { relay } of sidecars) assert.ok(relay.most <= 64 + 1, `${relay.most} connections of one sidecar`);
    const total = sidecars.reduce((sum, { relay }) => sum + relay.connections, 0);
    assert.ok(total <= ALLOWED + SIDECARS, `${total} connections`);

    // Refused they were, since 8 times 64 is too much, which each told once; and nobody's health was lost over it.
    // (A busy machine may have more to tell: of answers that came late.)
    const crowded = /too many connections .*: \d+ queries at once/;
    const refused = sidecars.map(({ services }) => services.lines.filter(({ msg }) => crowded.test(msg)));
    for (const told of refused) assert.ok(told.length <= 1, told.map(({ msg }) => msg).join("; "));
    assert.ok(refused.flat().length > 0);
    const { body } = await ask(consul, "GET", "/v1/health/service/user?passing=1");
    assert.ok(Array.isArray(body));
    assert.equal(new Set(body.map((entry) => field(entry, "Service", "ID"))).size, SIDECARS);
  } finally {
    clearInterval(calls);
    for (const { source, relay, registrar } of sidecars) {
      await registrar.deregister();
      await source.close();
      await relay.stop();
    }
    await consul.stop();
  }
});

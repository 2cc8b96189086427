import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Watch } from "../../../src/core/watch.ts";
import { ConsulSource } from "../../../src/discovery/consul/consul.ts";
import { CONSUL_TIMINGS } from "../../../src/discovery/consul/timings.ts";
import { makeRegistration } from "../../../src/discovery/registration.ts";
import type { Discovered } from "../../../src/discovery/source.ts";
import type { Instance, SourceHarness } from "../../contracts/discovery.ts";
import type { Consul } from "../../support/consul.ts";
import { testServices, until } from "../services.ts";
import { consulOptions } from "./support.ts";

/** Shorter only where a test waits for the end of a wait, or changes things at a rate that is limited. */
export const BRISK = { ...CONSUL_TIMINGS, wait: 1000, margin: 500, wakeInterval: 50 };

const wanted = { name: "user", id: undefined, tags: ["v1"], meta: { version: "v1", zone: "a" } };
export const registration = makeRegistration(
  wanted,
  { host: "127.0.0.1", port: 15006 },
  { version: "1.2.3", mtls: "disabled" },
);

/** What the contract of sources needs of a real agent. */
export async function realHarness(consul: Consul): Promise<SourceHarness> {
  const services = testServices();
  await publish(consul, "orders", []);
  await publish(consul, "billing", []);
  return {
    source: new ConsulSource(consulOptions(consul.address), services, BRISK),
    lines: services.lines,
    publish: (name, instances) => publish(consul, name, instances),
    // Its requests hang as they do at an agent that is overloaded: connections are taken, nothing is answered.
    fail: async () => consul.pause(),
    heal: async () => consul.resume(),
    held: () => undefined,
    close: async () => consul.resume(),
  };
}

/** Registers exactly these in the agent, without a check, which makes them passing. */
export async function publish(consul: Consul, name: string, instances: readonly Instance[]): Promise<void> {
  const known = Object.entries(Object((await consul.request("GET", "/v1/agent/services")).body));
  const ids = new Set(instances.map(({ port }) => `${name}-${port}`));
  for (const { host, port, weight, meta } of instances) {
    const body = {
      ID: `${name}-${port}`,
      Name: name,
      Address: host,
      Port: port,
      Meta: meta ?? {},
      Weights: { Passing: weight ?? 1, Warning: 1 },
    };
    await put(consul, "/v1/agent/service/register", body);
  }
  for (const [id, service] of known) {
    if (Reflect.get(Object(service), "Service") === name && !ids.has(id)) {
      await put(consul, `/v1/agent/service/deregister/${id}`);
    }
  }
}

export async function put(consul: Consul, path: string, body?: unknown): Promise<void> {
  const { status, body: text } = await consul.request("PUT", path, body);
  assert.equal(status, 200, `${path}: ${String(text)}`);
}

export async function instancesOf(consul: Consul, name: string): Promise<Record<string, unknown>[]> {
  const { body } = await consul.request("GET", `/v1/health/service/${name}`);
  assert.ok(Array.isArray(body));
  return body;
}

export const field = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>((at, key) => Reflect.get(Object(at), key), value);

/** Status and output of the service's own check. */
export const checkOf = (entry: unknown): unknown[] => {
  const checks = field(entry, "Checks");
  assert.ok(Array.isArray(checks));
  const check = checks.find((each) => field(each, "CheckID") === `service:${registration.id}`);
  return [field(check, "Status"), field(check, "Output")];
};

export async function untilInstances(consul: Consul, count: number): Promise<Record<string, unknown>[]> {
  for (let n = 0; n < 300; n++) {
    const entries = await instancesOf(consul, "user");
    if (entries.length === count) return entries;
    await sleep(50);
  }
  throw new Error(`not ${count} instances within 15 s`);
}

export function untilError(state: Watch<Discovered>, error: RegExp): Promise<Discovered> {
  return until(
    () => state.current,
    (current) => error.test(current.error ?? ""),
    15_000,
  );
}

/** Waits until the agent has this status and output of the service's check. */
export async function untilAgentCheck(consul: Consul, wantedState: readonly unknown[]): Promise<void> {
  for (let n = 0; n < 200; n++) {
    const { body } = await consul.request("GET", "/v1/agent/checks");
    const check = field(body, `service:${registration.id}`);
    if (isDeepStrictEqual([field(check, "Status"), field(check, "Output")], wantedState)) return;
    await sleep(20);
  }
  throw new Error(`the check is not ${JSON.stringify(wantedState)}`);
}

/** Waits until the catalog has this status and output of the service's check. */
export async function untilCheck(consul: Consul, wantedState: readonly unknown[]): Promise<unknown[]> {
  let state: unknown[] = [];
  for (let n = 0; n < 200; n++) {
    state = checkOf((await instancesOf(consul, "user"))[0]);
    if (isDeepStrictEqual(state, wantedState)) return state;
    await sleep(20);
  }
  throw new Error(`the check is ${JSON.stringify(state)}, not ${JSON.stringify(wantedState)}`);
}

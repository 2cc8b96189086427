import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConsulSource } from "../../../src/discovery/consul/consul.ts";
import { ConsulRegistrar } from "../../../src/discovery/consul/registrar.ts";
import { discoveryContract } from "../../contracts/discovery.ts";
import { type Consul, startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { hosts, testServices, until, untilHosts } from "../services.ts";
import {
  field,
  publish,
  put,
  realHarness,
  registration,
  untilAgentCheck,
  untilCheck,
  untilInstances,
} from "./real-support.ts";
import { consulOptions } from "./support.ts";

const real = skipUnless("consul");

describe("a real consul", real, () => {
  let consul: Consul;
  before(async () => {
    consul = await startConsul();
  });
  after(() => consul.stop());

  discoveryContract("real consul", () => realHarness(consul));

  test("a change reaches the state within 100 ms of Consul's answer to somebody else", async () => {
    await publish(consul, "fast", [{ host: "127.0.0.1", port: 7000 }]);
    const source = new ConsulSource(consulOptions(consul.address), testServices());
    try {
      const { state } = source.subscribe("fast");
      await untilHosts(state, ["127.0.0.1:7000"]);
      const delays: number[] = [];
      for (let port = 7001; port <= 7005; port++) {
        await sleep(300);
        const { index } = await consul.request("GET", "/v1/health/service/fast?passing=1&stale=1");
        const other = consul
          .request("GET", `/v1/health/service/fast?passing=1&stale=1&index=${index}&wait=5s`)
          .then(() => performance.now());
        const seen = new Promise<number>((resolve) => {
          const remove = state.onChange((value) => {
            if (!hosts(value)?.includes(`127.0.0.1:${port}`)) return;
            remove();
            resolve(performance.now());
          });
        });
        await publish(consul, "fast", [{ host: "127.0.0.1", port }]);
        delays.push((await seen) - (await other));
      }
      const median = delays.sort((a, b) => a - b)[2] ?? Number.POSITIVE_INFINITY;
      assert.ok(median < 100, `${delays.map(Math.round).join(", ")} ms`);
    } finally {
      await source.close();
    }
  });

  test("an instance that becomes critical leaves at once, and comes back when it passes", async () => {
    await publish(consul, "checked", [{ host: "127.0.0.1", port: 7001 }]);
    await put(consul, "/v1/agent/service/register", {
      ID: "checked-7002",
      Name: "checked",
      Address: "127.0.0.1",
      Port: 7002,
      Check: { TTL: "60s" },
    });
    const source = new ConsulSource(consulOptions(consul.address), testServices());
    try {
      const { state } = source.subscribe("checked");
      await untilHosts(state, ["127.0.0.1:7001"]);
      const check = "service:checked-7002";
      await put(consul, `/v1/agent/check/pass/${check}`);
      await untilHosts(state, ["127.0.0.1:7001", "127.0.0.1:7002"]);
      await put(consul, `/v1/agent/check/warn/${check}`);
      await untilHosts(state, ["127.0.0.1:7001"]);
      await put(consul, `/v1/agent/check/pass/${check}`);
      await untilHosts(state, ["127.0.0.1:7001", "127.0.0.1:7002"]);
      await put(consul, `/v1/agent/check/fail/${check}`);
      await untilHosts(state, ["127.0.0.1:7001"]);
    } finally {
      await source.close();
    }
  });

  test("a service without an address is at its node's", async () => {
    await put(consul, "/v1/agent/service/register", { ID: "bare", Name: "bare", Port: 7001 });
    await put(consul, "/v1/agent/service/register", { ID: "portless", Name: "bare" });
    const services = testServices();
    const source = new ConsulSource(consulOptions(consul.address), services);
    try {
      await untilHosts(source.subscribe("bare").state, ["127.0.0.1:7001"]);
      assert.match(services.lines[0]?.msg ?? "", /^endpoint 127\.0\.0\.1:0 of bare has no port/);
    } finally {
      await source.close();
    }
  });

  test("a registration is in the catalog word for word, critical until the application serves, then gone", async () => {
    const services = testServices();
    const registrar = new ConsulRegistrar(consulOptions(consul.address), services);
    const source = new ConsulSource(consulOptions(consul.address), services);
    try {
      const { state } = source.subscribe("user");
      await registrar.register(registration);
      const [entry] = await untilInstances(consul, 1);
      const service = field(entry, "Service");
      assert.deepEqual(
        ["ID", "Service", "Address", "Port", "Tags", "Meta", "Weights"].map((key) => field(service, key)),
        [
          "user-127.0.0.1-15006",
          "user",
          "127.0.0.1",
          15006,
          ["v1"],
          { version: "v1", zone: "a", outrigger: "1.2.3", mtls: "disabled" },
          { Passing: 1, Warning: 1 },
        ],
      );
      const known = await consul.request("GET", "/v1/agent/checks");
      const check = field(known.body, `service:${registration.id}`);
      assert.deepEqual([field(check, "Type"), field(check, "ServiceID")], ["ttl", registration.id]);
      // The agent passes a change of the output alone on to the catalog minutes later.
      await untilAgentCheck(consul, ["critical", "the application has not answered yet"]);
      await untilHosts(state, []);
      registrar.setHealth(true, "SERVING");
      await untilCheck(consul, ["passing", "SERVING"]);
      await untilHosts(state, ["127.0.0.1:15006"]);
      registrar.setHealth(false, "connection refused");
      await untilCheck(consul, ["critical", "connection refused"]);
      await untilHosts(state, []);
      await registrar.deregister();
      await untilInstances(consul, 0);
      assert.equal(services.lines.filter((line) => line.level > 30).length, 0);
    } finally {
      await registrar.deregister();
      await source.close();
    }
  });

  test("a sidecar that comes back under the same id is critical again before its application answered", async () => {
    const first = new ConsulRegistrar(consulOptions(consul.address), testServices());
    const second = new ConsulRegistrar(consulOptions(consul.address), testServices());
    try {
      first.setHealth(true, "SERVING");
      await first.register(registration);
      await untilCheck(consul, ["passing", "SERVING"]);
      await second.register(registration);
      await untilCheck(consul, ["critical", "the application has not answered yet"]);
    } finally {
      await first.deregister();
      await second.deregister();
    }
  });

  test("an enterprise option at a community agent is an error that names the reason", async () => {
    const source = new ConsulSource(consulOptions(consul.address, { namespace: "shop" }), testServices());
    try {
      const { state } = source.subscribe("user");
      const { error } = await until(
        () => state.current,
        (current) => current.error !== undefined,
      );
      assert.match(
        error ?? "",
        /answers 400: Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature$/,
      );
    } finally {
      await source.close();
    }
  });
});

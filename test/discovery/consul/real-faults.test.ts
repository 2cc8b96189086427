import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ConsulSource } from "../../../src/discovery/consul/consul.ts";
import { ConsulRegistrar } from "../../../src/discovery/consul/registrar.ts";
import { discoveryContract } from "../../contracts/discovery.ts";
import { type Consul, startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { hosts, testServices, until, untilFresh, untilHosts, untilStale } from "../services.ts";
import {
  BRISK,
  field,
  instancesOf,
  publish,
  put,
  realHarness,
  registration,
  untilCheck,
  untilError,
  untilInstances,
} from "./real-support.ts";
import { consulOptions } from "./support.ts";

const real = skipUnless("consul");

test("an agent that is killed and comes back without a memory costs nobody their endpoints", real, async () => {
  const consul = await startConsul();
  const services = testServices();
  const registrar = new ConsulRegistrar(consulOptions(consul.address), services);
  const source = new ConsulSource(consulOptions(consul.address), services);
  const lists: (string[] | undefined)[] = [];
  try {
    registrar.setHealth(true, "SERVING");
    await registrar.register(registration);
    const { state } = source.subscribe("user");
    await untilHosts(state, ["127.0.0.1:15006"]);
    state.onChange((value) => lists.push(hosts(value)));
    await consul.kill();
    assert.match(await untilStale(state), /closed the connection|refuses connections/);
    await consul.restart();
    // The registrar notices at its next beat that it was forgotten.
    await untilInstances(consul, 1);
    await untilFresh(state, 15_000);
    assert.deepEqual(
      lists.filter((list) => list?.length !== 1),
      [],
    );
    assert.deepEqual(await untilCheck(consul, ["passing", "SERVING"]), ["passing", "SERVING"]);
    const texts = services.lines.map((line) => line.msg);
    assert.equal(texts.filter((text) => text.startsWith("no good answer for user")).length, 1);
    assert.equal(texts.filter((text) => text === "consul answers for user again").length, 1);
  } finally {
    await registrar.deregister();
    await source.close();
    await consul.stop();
  }
});

describe("a real consul without streaming", real, () => {
  let consul: Consul;
  before(async () => {
    consul = await startConsul({ config: "use_streaming_backend = false" });
  });
  after(() => consul.stop());

  discoveryContract("real consul without streaming", () => realHarness(consul));
});

describe("a real consul with ACLs", real, () => {
  let consul: Consul;
  before(async () => {
    consul = await startConsul({ acl: true });
  });
  after(() => consul.stop());

  test("with ACLs a token that is refused, or loses its permission, keeps the last good list", async () => {
    const services = testServices();
    let source: ConsulSource | undefined;
    try {
      await publish(consul, "user", [{ host: "127.0.0.1", port: 7001 }]);
      const rules = (text: string) => ({ Name: "reader", Rules: text });
      const policy = await consul.request(
        "PUT",
        "/v1/acl/policy",
        rules('service "user" { policy = "read" } node_prefix "" { policy = "read" }'),
      );
      const token = await consul.request("PUT", "/v1/acl/token", { Policies: [{ Name: "reader" }] });
      const secret = String(field(token.body, "SecretID"));
      source = new ConsulSource(consulOptions(consul.address, { token: secret }), services, BRISK);
      const { state } = source.subscribe("user");
      await untilHosts(state, ["127.0.0.1:7001"]);

      // The policy no longer allows it: the list is filtered, and empty.
      const id = String(field(policy.body, "ID"));
      await put(consul, `/v1/acl/policy/${id}`, { ID: id, ...rules('service "other" { policy = "read" }') });
      await untilError(state, /empty to this token: it lacks service:read or node:read$/);
      assert.deepEqual(hosts(state.current), ["127.0.0.1:7001"]);

      // It allows it again; then the token is gone altogether.
      await put(consul, `/v1/acl/policy/${id}`, {
        ID: id,
        ...rules('service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'),
      });
      await untilFresh(state, 15_000);
      const { status } = await consul.request("DELETE", `/v1/acl/token/${String(field(token.body, "AccessorID"))}`);
      assert.equal(status, 200);
      await untilError(state, /refuses the token .*403: ACL not found/);
      assert.deepEqual(hosts(state.current), ["127.0.0.1:7001"]);
    } finally {
      await source?.close();
    }
  });

  test("a token file that is swapped is in force at once: a wrong one keeps the last good list, and says so", async () => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-token-"));
    const tokenFile = join(folder, "token");
    const services = testServices();
    const ours = { ...registration, id: "swapping-1", name: "swapping" };
    const address = [`${ours.host}:${ours.port}`];
    // Queries wait for 10 s, which nobody here does.
    let source: ConsulSource | undefined;
    let registrar: ConsulRegistrar | undefined;
    const swap = async (text: string) => {
      await writeFile(`${tokenFile}.new`, text);
      await rename(`${tokenFile}.new`, tokenFile);
    };
    try {
      await publish(consul, "swapped", [{ host: "127.0.0.1", port: 7001 }]);
      await swap(consul.token ?? "");
      source = new ConsulSource(consulOptions(consul.address, { tokenFile }), services);
      registrar = new ConsulRegistrar(consulOptions(consul.address, { tokenFile }), services);
      const { state } = source.subscribe("swapped");
      await untilHosts(state, ["127.0.0.1:7001"]);
      registrar.setHealth(true, "SERVING");
      await registrar.register(ours);
      let mustBeBy = performance.now() + 5000;
      await swap("00000000-0000-0000-0000-000000000000");
      await untilError(state, /refuses the token .*ACL not found/);
      assert.ok(performance.now() < mustBeBy, "long before the query that waited would have ended");
      assert.deepEqual(hosts(state.current), ["127.0.0.1:7001"]);
      assert.ok(services.lines.some(({ msg }) => /no good answer for swapped/.test(msg)));
      const policy = {
        Name: "swapper",
        Rules: 'service_prefix "" { policy = "write" } node_prefix "" { policy = "read" }',
      };
      await consul.request("PUT", "/v1/acl/policy", policy);
      const token = await consul.request("PUT", "/v1/acl/token", { Policies: [{ Name: "swapper" }] });
      // The pause after a failure would be as long as 5 s by now.
      await new Promise((resolve) => setTimeout(resolve, 2000));
      mustBeBy = performance.now() + 5000;
      await swap(String(field(token.body, "SecretID")));
      await untilFresh(state, 5000);
      assert.deepEqual(hosts(state.current), ["127.0.0.1:7001"]);
      await until(
        () => services.lines.map(({ msg }) => msg),
        (texts) => texts.includes("consul takes the registration and its health again"),
      );
      // One that is as good as the other costs nobody anything: the registration is renewed, and passes all the time.
      const { state: own } = source.subscribe(ours.name);
      await untilHosts(own, address);
      const lists: (string[] | undefined)[] = [];
      own.onChange((value) => lists.push(hosts(value)));
      await swap(consul.token ?? "");
      await until(
        () => lists.length,
        (count) => count > 0,
      );
      await new Promise((resolve) => setTimeout(resolve, 500));
      for (const list of lists) assert.deepEqual(list, address);
    } finally {
      await registrar?.deregister();
      await source?.close();
      await rm(folder, { recursive: true });
    }
  });

  test("a bad token from the beginning is an error that says so, and registers nothing", async () => {
    const services = testServices();
    const options = consulOptions(consul.address, { token: "00000000-0000-0000-0000-000000000000" });
    const source = new ConsulSource(options, services);
    const registrar = new ConsulRegistrar(options, services);
    try {
      const { state } = source.subscribe("user");
      const done = registrar.register(registration);
      const { error } = await until(
        () => state.current,
        (current) => current.error !== undefined,
      );
      assert.equal(state.current.kind, "pending");
      assert.match(error ?? "", /refuses the token .*ACL not found/);
      await until(
        () => services.lines.length,
        (count) => count === 2,
      );
      await registrar.deregister();
      await done;
      const ids = (await instancesOf(consul, "user")).map((entry) => field(entry, "Service", "ID"));
      assert.ok(!ids.includes(registration.id), ids.join(" "));
    } finally {
      await registrar.deregister();
      await source.close();
    }
  });
});

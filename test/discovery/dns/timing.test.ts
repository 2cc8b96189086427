import assert from "node:assert/strict";
import { test } from "node:test";
import { hosts } from "../services.ts";
import { SRV, withScript } from "./support.ts";

const target = (name: string, port: number) => ({ target: name, port, priority: 0, weight: 1 });

test("a time to live is honoured: an answer is used as long as that, and no longer", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.host("orders.test", ["10.0.0.1"], 60);
    const { state } = source.subscribe("orders");
    await clock.pass(59_000);
    assert.deepEqual(resolver.times("A orders.test"), [0]);
    resolver.host("orders.test", ["10.0.0.2"], 2);
    await clock.pass(1000);
    assert.deepEqual(hosts(state.current), ["10.0.0.2:50051"]);
    await clock.pass(6000);
    assert.deepEqual(resolver.times("A orders.test"), [0, 60, 62, 64, 66]);
  }));

test("an answer without one is asked for again at the configured pace", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.host("orders.test", ["10.0.0.1"]);
      source.subscribe("orders");
      await clock.pass(10_000);
      assert.deepEqual(resolver.times("A orders.test"), [0, 3, 6, 9]);
    },
    { refresh: 3000 },
  ));

test("the shortest time to live of all records counts, and none is shorter than a second or longer than a day", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.host("orders.test", ["10.0.0.1"], 30);
      resolver.answers.set("AAAA orders.test", { kind: "records", records: ["fd00::1"], ttl: 7000 });
      source.subscribe("orders");
      await clock.pass(7000);
      assert.deepEqual(resolver.times("A orders.test"), [0, 7]);
      resolver.host("orders.test", ["10.0.0.1"], 0.2);
      await clock.pass(7000);
      resolver.host("orders.test", ["10.0.0.1"], 2 ** 31);
      await clock.pass(1000);
      const count = resolver.times("A orders.test").length;
      assert.deepEqual(resolver.times("A orders.test").slice(2, 4), [14, 15]);
      await clock.pass(24 * 3_600_000 - 1000);
      assert.equal(resolver.times("A orders.test").length, count);
      await clock.pass(1000);
      assert.equal(resolver.times("A orders.test").length, count + 1);
    },
    { family: "both" },
  ));

test("a name that does not exist is asked for again at the configured pace", () =>
  withScript(async ({ clock, resolver, source }) => {
    const { state } = source.subscribe("orders");
    await clock.pass(15_000);
    assert.deepEqual(resolver.times("A orders.test"), [0, 5, 10, 15]);
    assert.deepEqual(hosts(state.current), []);
    resolver.host("orders.test", ["10.0.0.1"], 60);
    await clock.pass(5000);
    assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"]);
  }));

test("after a failure pauses grow up to the configured pace, and begin anew after an answer", () =>
  withScript(async ({ clock, resolver, source, services }) => {
    // The longest pause that chance allows.
    Object.assign(services, { random: () => 0.999_999 });
    resolver.fail("A orders.test");
    source.subscribe("orders");
    await clock.pass(30_000);
    const times = resolver.times("A orders.test");
    const pauses = times.slice(1).map((time, index) => Math.round((time - (times[index] ?? 0)) * 100) / 100);
    assert.deepEqual(pauses.slice(0, 7), [0.5, 0.75, 1.25, 2.25, 4.25, 5.25, 5.25]);
  }));

test("name servers that answer nothing are given up after five seconds", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.host("orders.test", ["10.0.0.1"], 1);
    const { state } = source.subscribe("orders");
    await clock.pass(100);
    resolver.silent = true;
    await clock.pass(900);
    await clock.pass(4999);
    assert.ok(state.current.kind === "known" && state.current.staleSince === undefined);
    await clock.pass(1);
    assert.ok(state.current.kind === "known" && state.current.staleSince !== undefined);
    assert.equal(state.current.error, "cannot look up A orders.test: the name servers took too long");
    assert.deepEqual(hosts(state.current), ["10.0.0.1:50051"]);
    resolver.silent = false;
    await clock.pass(1000);
    assert.equal(state.current.staleSince, undefined);
  }));

test("records and addresses are asked for by a pace of their own", () =>
  withScript(
    async ({ clock, resolver, source }) => {
      resolver.srv("_grpc._tcp.orders.test", target("a.test", 1), target("b.test", 2));
      resolver.host("a.test", ["10.0.0.1"], 60);
      resolver.host("b.test", ["10.0.0.2"], 11);
      source.subscribe("orders");
      await clock.pass(12_000);
      assert.deepEqual(resolver.times("SRV _grpc._tcp.orders.test"), [0, 5, 10]);
      assert.deepEqual(resolver.times("A a.test"), [0]);
      assert.deepEqual(resolver.times("A b.test"), [0, 11]);
    },
    { names: new Map([["orders", SRV]]) },
  ));

test("chance spreads the questions of many sidecars over a tenth of the time to live", () =>
  withScript(async ({ clock, resolver, source, services }) => {
    Object.assign(services, { random: () => 0.5 });
    resolver.host("orders.test", ["10.0.0.1"], 100);
    source.subscribe("orders");
    await clock.pass(200_000);
    assert.deepEqual(resolver.times("A orders.test"), [0, 105]);
  }));

test("nobody asks for a name that nobody holds, and close ends what is asked", () =>
  withScript(async ({ clock, resolver, source }) => {
    resolver.host("orders.test", ["10.0.0.1"], 1);
    const subscription = source.subscribe("orders");
    await clock.pass(1500);
    subscription.close();
    await clock.pass(10_000);
    assert.deepEqual(resolver.times("A orders.test"), [0, 1]);
    assert.equal(clock.pending, 0);
    resolver.silent = true;
    source.subscribe("orders");
    await clock.pass(100);
    await source.close();
    assert.equal(clock.pending, 0);
  }));

test("a name that is not configured waits, with the reason", () =>
  withScript(async ({ source, resolver }) => {
    const error = "no name in DNS is configured for nobody";
    assert.deepEqual(source.subscribe("nobody").state.current, { kind: "pending", error });
    assert.deepEqual(resolver.asked, []);
  }));

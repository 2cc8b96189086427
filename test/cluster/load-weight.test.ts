import assert from "node:assert/strict";
import { test } from "node:test";
import { weightedRoundRobin } from "../../src/cluster/balancers/weighted-round-robin.ts";
import { defaultLoadSettings, type LoadSettings, LoadWeight } from "../../src/cluster/load-weight.ts";
import { decodeOrca } from "../../src/cluster/orca.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { ClusterHarness, inTurn, NOTHING_LEFT } from "./cluster-harness.ts";
import { report, spec } from "./endpoints.ts";

const headers = new HeaderTable();

/** A double field: its tag is (number << 3) | 1. */
function double(field: number, value: number): number[] {
  const octets = Buffer.alloc(8);
  octets.writeDoubleLE(value);
  return [(field << 3) | 1, ...octets];
}

/** An entry of a map<string, double>. */
function entry(field: number, key: string, value: number): number[] {
  const body = [0x0a, key.length, ...Buffer.from(key), ...double(2, value)];
  return [(field << 3) | 2, body.length, ...body];
}

const base64 = (...parts: readonly number[][]): string => Buffer.from(parts.flat()).toString("base64");

/** Trailers with a report of a rate, and a utilization from 0 to 1. */
function trailers(...parts: readonly number[][]) {
  return headers.head([
    ["grpc-status", "0"],
    ["endpoint-load-metrics-bin", base64(...parts)],
  ]);
}

const RATE = 6;
const ERRORS = 7;
const LOAD = 9;
const CPU = 1;

test("a load report is read field by field, and what is not known is passed over", () => {
  const text = base64(
    double(CPU, 0.25),
    double(2, 0.5),
    [3 << 3, 0x80, 0x01],
    entry(4, "db", 3),
    entry(5, "disk", 0.75),
    double(RATE, 100),
    double(ERRORS, 2),
    entry(8, "queue", 0.9),
    double(LOAD, 0.4),
    [(15 << 3) | 2, 2, 1, 2],
  );
  assert.deepEqual(Object.fromEntries(decodeOrca(text)?.metrics ?? []), {
    cpu_utilization: 0.25,
    mem_utilization: 0.5,
    "request_cost.db": 3,
    "utilization.disk": 0.75,
    rps_fractional: 100,
    eps: 2,
    "named_metrics.queue": 0.9,
    application_utilization: 0.4,
  });
});

test("what is no report is not read, however it is cut short", () => {
  const whole = Buffer.from(base64(double(CPU, 0.25), entry(8, "queue", 0.9)), "base64");
  for (let length = 1; length < whole.length; length++) {
    if (length === 9) continue;
    assert.equal(decodeOrca(whole.subarray(0, length).toString("base64")), undefined, `${length}`);
  }
  assert.equal(decodeOrca(base64([7])), undefined);
  assert.equal(decodeOrca("A".repeat(20_000)), undefined);
});

/** A weight, and what it comes to by reports at times. */
function weighed(more: Partial<LoadSettings> = {}) {
  const settings = { ...defaultLoadSettings, ...more };
  const weight = new LoadWeight(() => settings);
  return {
    at: (now: number) => weight.at(now),
    take: (at: number, ...parts: readonly number[][]) =>
      weight.take(report("ok", { endedAt: at, trailers: trailers(...parts) })),
  };
}

test("a weight is calls a second by utilization, after the blackout and until it expires", () => {
  const { at, take } = weighed();
  take(0, double(RATE, 100), double(LOAD, 0.5));
  assert.equal(at(9_999), undefined);
  assert.equal(at(10_000), 200);
  take(100_000, double(RATE, 100), double(LOAD, 0.25));
  assert.equal(at(100_000), 400);
  assert.equal(at(280_000), undefined);
  take(300_000, double(RATE, 100), double(LOAD, 0.25));
  assert.equal(at(305_000), undefined, "the blackout begins anew");
});

test("errors count as utilization, and a report without a rate or a load says nothing", () => {
  const { at, take } = weighed({ blackout: 0 });
  take(0, double(RATE, 100), double(ERRORS, 50), double(LOAD, 0.5));
  assert.equal(at(0), 100);
  take(1000, double(RATE, 0), double(LOAD, 0.5));
  take(2000, double(RATE, 100));
  assert.equal(at(2000), 100);
});

test("without application_utilization the largest of the chosen metrics counts, and without these the CPU", () => {
  const { at, take } = weighed({ blackout: 0, metrics: ["named_metrics.queue", "utilization.disk"] });
  take(0, double(RATE, 100), double(CPU, 0.1), entry(8, "queue", 0.2), entry(5, "disk", 0.5));
  assert.equal(at(0), 200);
  take(1000, double(RATE, 100), double(CPU, 0.1));
  assert.equal(at(1000), 1000);
});

test("weighted round robin gives endpoints calls by what they report, and evenly before that", async () => {
  const policy = { ...inTurn, balancer: weightedRoundRobin, load: { ...defaultLoadSettings, blackout: 0 } };
  const on = new ClusterHarness({ policy }, spec(1), spec(2));
  const share = (): number =>
    on
      .picks(40)
      .split(" ")
      .filter((id) => id === "1").length;
  assert.equal(share(), 20);
  for (const [id, load] of [
    ["1", 0.2],
    ["2", 0.6],
  ] as const) {
    const endpoint = on.endpoint(id);
    endpoint.started();
    endpoint.done(report("ok", { endedAt: on.clock.now(), trailers: trailers(double(RATE, 90), double(LOAD, load)) }));
  }
  await on.clock.pass(1000);
  assert.equal(share(), 30, "one that is a third as busy gets three times as much");
  assert.deepEqual(await on.leftovers(), NOTHING_LEFT);
});

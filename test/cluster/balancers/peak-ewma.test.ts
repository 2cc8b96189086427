import assert from "node:assert/strict";
import { test } from "node:test";
import { peakEwma } from "../../../src/cluster/balancers/peak-ewma.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { PeakLatency } from "../../../src/cluster/latency.ts";
import { defaultLoadSettings } from "../../../src/cluster/load-weight.ts";
import { seededRandom } from "../../support/random.ts";
import { ANY, idleEndpoints, report, tools } from "../endpoints.ts";

/** An answer whose head came after so many milliseconds. */
function answer(endpoint: Endpoint, ms: number, at: number): void {
  endpoint.started();
  endpoint.done(report("ok", { startedAt: at - ms, answeredAt: at, endedAt: at }));
}

function measured(count: number): Endpoint[] {
  const endpoints = idleEndpoints(...Array.from({ length: count }, () => 1));
  for (const endpoint of endpoints) endpoint.keep("latency", () => defaultLoadSettings);
  return endpoints;
}

test("a rise is followed at once, a fall slowly", () => {
  const latency = new PeakLatency();
  assert.equal(latency.at(0), undefined);
  const take = (ms: number, at: number): void =>
    latency.take(report("ok", { startedAt: at - ms, answeredAt: at, endedAt: at }));
  take(10, 100);
  assert.equal(latency.at(100), 10);
  take(500, 200);
  assert.equal(latency.at(200), 500);
  take(10, 300);
  assert.ok((latency.at(300) ?? 0) > 450);
  for (let at = 400; at <= 60_000; at += 100) take(10, at);
  assert.ok((latency.at(60_000) ?? 0) < 12);
});

test("without calls it falls, so that an endpoint that was slow is tried again", () => {
  const latency = new PeakLatency();
  latency.take(report("ok", { startedAt: 0, answeredAt: 1000, endedAt: 1000 }));
  assert.ok((latency.at(11_000) ?? 0) < 400);
});

test("a call that nobody waited for any more took at least that long, and a stream's head is too old to count", () => {
  const latency = new PeakLatency();
  latency.take(report("ok", { startedAt: 0, answeredAt: 10, endedAt: 10 }));
  latency.take(report("cancelled", { startedAt: 10, endedAt: 510 }));
  assert.equal(latency.at(510), 500);
  latency.take(report("cancelled", { startedAt: 500, endedAt: 511 }));
  assert.ok((latency.at(511) ?? 0) > 490, "a shorter wait says nothing");
  latency.take(report("ok", { startedAt: 511, answeredAt: 5000, endedAt: 100_000 }));
  assert.ok((latency.at(100_000) ?? 0) < 1);
});

test("the slow one of five gets next to nothing", () => {
  const endpoints = measured(5);
  for (const [at, endpoint] of endpoints.entries()) answer(endpoint, at === 0 ? 200 : 5, 1000);
  const picker = peakEwma.picker(endpoints, tools(seededRandom(1), { now: () => 1000 }), undefined);
  const counts = new Map<string, number>();
  for (let n = 0; n < 1000; n++) {
    const { id } = picker.pick(ANY) ?? assert.fail();
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  assert.equal(counts.get("1"), undefined);
});

test("an endpoint that was never heard of is tried by one call, and by no more until that is answered", () => {
  const [known, fresh] = measured(2);
  assert.ok(known !== undefined && fresh !== undefined);
  answer(known, 5, 1000);
  const picker = peakEwma.picker([known, fresh], tools(seededRandom(1), { now: () => 1000 }), undefined);
  assert.equal(picker.pick(ANY), fresh);
  fresh.started();
  for (let n = 0; n < 50; n++) assert.equal(picker.pick(ANY), known);
});

test("what is waited for counts: of two equally fast ones the idle one is picked", () => {
  const [busy, idle] = measured(2);
  assert.ok(busy !== undefined && idle !== undefined);
  for (const endpoint of [busy, idle]) answer(endpoint, 10, 1000);
  busy.started();
  const picker = peakEwma.picker([busy, idle], tools(seededRandom(1), { now: () => 1000 }), undefined);
  for (let n = 0; n < 50; n++) assert.equal(picker.pick(ANY), idle);
});

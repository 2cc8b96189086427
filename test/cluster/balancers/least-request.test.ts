import assert from "node:assert/strict";
import { test } from "node:test";
import { leastRequest } from "../../../src/cluster/balancers/least-request.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { seededRandom } from "../../support/random.ts";
import { ANY, idleEndpoints, report, tools } from "../endpoints.ts";

/** Calls that come by chance and take a time by chance, in the mean 1; returns each endpoint's share of them. */
function simulate(endpoints: readonly Endpoint[], load: number, calls: number): number[] {
  const random = seededRandom(3);
  const picker = leastRequest.picker(endpoints, tools(random), undefined);
  let running: { readonly end: number; readonly endpoint: Endpoint }[] = [];
  let now = 0;
  for (let n = 0; n < calls; n++) {
    now -= Math.log(1 - random()) / load;
    for (const { end, endpoint } of running) if (end <= now) endpoint.done(report("ok"));
    running = running.filter(({ end }) => end > now);
    const endpoint = picker.pick(ANY) ?? assert.fail();
    endpoint.started();
    running.push({ end: now - Math.log(1 - random()), endpoint });
  }
  return endpoints.map(({ selected }) => selected / calls);
}

test("of two endpoints the one with less in flight is picked", () => {
  const [idle, busy] = idleEndpoints(1, 1);
  assert.ok(idle !== undefined && busy !== undefined);
  busy.started();
  const picker = leastRequest.picker([busy, idle], tools(seededRandom(1)), undefined);
  for (let n = 0; n < 100; n++) assert.equal(picker.pick(ANY), idle);
  busy.done(report("ok"));
  const picked = new Set(Array.from({ length: 100 }, () => picker.pick(ANY)));
  assert.equal(picked.size, 2);
});

test("the busiest of many is never picked, for it is never alone in the draw", () => {
  const endpoints = idleEndpoints(1, 1, 1, 1, 1);
  for (const [at, endpoint] of endpoints.entries()) for (let n = 0; n < at; n++) endpoint.started();
  const picker = leastRequest.picker(endpoints, tools(seededRandom(1)), undefined);
  const counts = new Map(endpoints.map((endpoint) => [endpoint.id, 0]));
  for (let n = 0; n < 10_000; n++) {
    const { id } = picker.pick(ANY) ?? assert.fail();
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  // Of the ten pairs the idlest is in four, the next decides three, and so on.
  for (const [at, pairs] of [4, 3, 2, 1].entries()) {
    const count = counts.get(String(at + 1)) ?? 0;
    assert.ok(Math.abs(count - pairs * 1000) < 150, `${count} for ${pairs * 1000}`);
  }
  assert.equal(counts.get("5"), 0);
});

test("a slow endpoint gets less: what is in flight stays even", () => {
  const endpoints = idleEndpoints(1, 1, 1);
  const [slow] = endpoints;
  assert.ok(slow !== undefined);
  for (let n = 0; n < 20; n++) slow.started();
  const picker = leastRequest.picker(endpoints, tools(seededRandom(1)), undefined);
  for (let n = 0; n < 40; n++) (picker.pick(ANY) ?? assert.fail()).started();
  for (const { inFlight } of endpoints) assert.ok(inFlight >= 18 && inFlight <= 22, `${inFlight} in flight`);
});

test("weights compare what is in flight for their weight", () => {
  const [light, heavy] = idleEndpoints(1, 4);
  assert.ok(light !== undefined && heavy !== undefined);
  const picker = leastRequest.picker([light, heavy], tools(seededRandom(1)), undefined);
  for (let n = 0; n < 1000; n++) (picker.pick(ANY) ?? assert.fail()).started();
  assert.ok(Math.abs(heavy.inFlight - 800) <= 2, `${heavy.inFlight} of 1000`);
});

for (const [weights, load, tolerance] of [
  [[1, 3], 0.05, 0.01],
  [[1, 3], 2, 0.02],
  [[1, 3], 100, 0.01],
  [[1, 1, 2], 0.5, 0.05],
  [[1, 1, 2], 10, 0.01],
  [[1, 1, 1, 5], 10, 0.02],
  [[1, 1, 1, 5], 100, 0.01],
] as const) {
  test(`weights ${weights.join(":")} are kept with ${load} calls in flight`, () => {
    const shares = simulate(idleEndpoints(...weights), load, 40_000);
    const total = weights.reduce<number>((sum, weight) => sum + weight, 0);
    for (const [at, weight] of weights.entries()) {
      const got = shares[at] ?? Number.NaN;
      assert.ok(Math.abs(got - weight / total) <= tolerance, `${shares.join(" ")} for ${weights.join(":")}`);
    }
  });
}

test("the best of more endpoints is found more often, and of one it is chance", () => {
  const endpoints = idleEndpoints(1, 1, 1, 1, 1);
  for (const [at, endpoint] of endpoints.entries()) for (let n = 0; n < at; n++) endpoint.started();
  const shareOfBest = (choices: number): number => {
    const picker = leastRequest.picker(endpoints, tools(seededRandom(1), { choices }), undefined);
    let best = 0;
    for (let n = 0; n < 10_000; n++) if (picker.pick(ANY) === endpoints[0]) best++;
    return best / 10_000;
  };
  // Drawn with replacement: the best one is missing in 4/5 of all draws.
  for (const choices of [1, 3, 5])
    assert.ok(Math.abs(shareOfBest(choices) - (1 - 0.8 ** choices)) < 0.02, `${choices}: ${shareOfBest(choices)}`);
  const [first, ...others] = endpoints;
  const picker = leastRequest.picker(endpoints, tools(seededRandom(1), { choices: 3 }), undefined);
  for (let n = 0; n < 100; n++) assert.equal(picker.pick({ ...ANY, tried: others }), first);
  assert.equal(leastRequest.picker([], tools(seededRandom(1), { choices: 3 }), undefined).pick(ANY), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Picker } from "../../../src/cluster/balancer.ts";
import { roundRobin } from "../../../src/cluster/balancers/round-robin.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import { after, idleEndpoints, tools } from "../endpoints.ts";

const first = tools(() => 0);

function ids(picker: Picker, count: number, tried?: Endpoint[]): string {
  return Array.from({ length: count }, () => picker.pick(after(...(tried ?? [])))?.id).join(" ");
}

test("round robin goes through the endpoints in their order", () => {
  assert.equal(ids(roundRobin.picker(idleEndpoints(1, 1, 1), first, undefined), 7), "1 2 3 1 2 3 1");
});

test("round robin starts where chance has it", () => {
  assert.equal(
    ids(
      roundRobin.picker(
        idleEndpoints(1, 1, 1),
        tools(() => 0.99),
        undefined,
      ),
      4,
    ),
    "3 1 2 3",
  );
});

test("round robin passes over a tried endpoint and goes on behind the one that it took", () => {
  const endpoints = idleEndpoints(1, 1, 1);
  const picker = roundRobin.picker(endpoints, first, undefined);
  assert.equal(ids(picker, 1, endpoints.slice(0, 1)), "2");
  assert.equal(ids(picker, 3), "3 1 2");
});

test("round robin goes on at its place when an endpoint leaves or comes", () => {
  const [one, two, three, four] = idleEndpoints(1, 1, 1, 1);
  assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
  let picker = roundRobin.picker([one, two, three], first, undefined);
  assert.equal(ids(picker, 1), "1");
  picker = roundRobin.picker([one, three], first, picker);
  assert.equal(ids(picker, 1), "3");
  picker = roundRobin.picker([four, one, three], first, picker);
  assert.equal(ids(picker, 4), "1 3 4 1");
});

test("weighted round robin spreads a heavy endpoint's turns", () => {
  const picker = roundRobin.picker(idleEndpoints(5, 1, 1), first, undefined);
  assert.equal(ids(picker, 14), "1 1 2 1 3 1 1 1 1 2 1 3 1 1");
});

test("weighted round robin carries its credit over a rebuild", () => {
  const endpoints = idleEndpoints(2, 1);
  const whole = ids(roundRobin.picker(endpoints, first, undefined), 9);
  let picker = roundRobin.picker(endpoints, first, undefined);
  const parts: string[] = [];
  for (let n = 0; n < 9; n++) {
    parts.push(ids(picker, 1));
    picker = roundRobin.picker(endpoints, first, picker);
  }
  assert.equal(parts.join(" "), whole);
});

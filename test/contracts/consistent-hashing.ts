import assert from "node:assert/strict";
import { test } from "node:test";
import type { BalancerDefinition, Picker } from "../../src/cluster/balancer.ts";
import { mix } from "../../src/cluster/choice/hash-key.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import { ANY, after, idleEndpoints, tools } from "../cluster/endpoints.ts";
import { seededRandom } from "../support/random.ts";

const KEYS = 20_000;

/** A picker of these endpoints, and what it does with a key. */
function keyed(balancer: BalancerDefinition, endpoints: readonly Endpoint[], previous?: Picker) {
  let key = 0;
  const picker = balancer.picker(endpoints, tools(seededRandom(1), { hash: () => key }), previous);
  return {
    picker,
    of: (wanted: number, ...tried: Endpoint[]): string => {
      key = mix(wanted);
      return picker.pick(after(...tried))?.id ?? "none";
    },
  };
}

/**
 * What every balancer has to do that keeps calls together. `spread`: how far an endpoint's share of keys may be from its weight,
 * as a part of that share; `moved`: how many keys of other endpoints may move where one comes or goes, as a part of all.
 */
export function consistentHashing(balancer: BalancerDefinition, bounds: { spread: number; moved: number }): void {
  const { name } = balancer;

  test(`${name} gives a key the same endpoint always, in every sidecar, whatever the order of the endpoints`, () => {
    const endpoints = idleEndpoints(1, 1, 1, 1, 1);
    const one = keyed(balancer, endpoints);
    const other = keyed(balancer, endpoints);
    for (let key = 0; key < 1000; key++) {
      assert.equal(one.of(key), one.of(key));
      assert.equal(one.of(key), other.of(key));
    }
  });

  for (const weights of [
    [1, 1, 1],
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    [1, 2, 3],
    [1, 10],
  ]) {
    test(`${name} spreads keys over weights ${weights.join(":")} within ${bounds.spread * 100}% of each share`, () => {
      const endpoints = idleEndpoints(...weights);
      const { of } = keyed(balancer, endpoints);
      const counts = new Map<string, number>();
      for (let key = 0; key < KEYS; key++) counts.set(of(key), (counts.get(of(key)) ?? 0) + 1);
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (const { id, weight } of endpoints) {
        const share = ((counts.get(id) ?? 0) / KEYS) * (total / weight);
        // Chance alone moves a share of so many keys by some per cent.
        assert.ok(Math.abs(share - 1) < bounds.spread, `${id} of ${weights.join(":")} has ${share} of its share`);
      }
    });
  }

  test(`${name} moves the keys of an endpoint that goes, and at most ${bounds.moved * 100}% of the others`, () => {
    const endpoints = idleEndpoints(1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
    const before = keyed(balancer, endpoints);
    const less = keyed(
      balancer,
      endpoints.filter(({ id }) => id !== "4"),
      before.picker,
    );
    let moved = 0;
    for (let key = 0; key < KEYS; key++) {
      const was = before.of(key);
      assert.notEqual(less.of(key), "4");
      if (was !== "4" && less.of(key) !== was) moved++;
    }
    assert.ok(moved <= KEYS * bounds.moved, `${moved} of ${KEYS}`);
    // And back again as it was.
    const again = keyed(balancer, endpoints, less.picker);
    for (let key = 0; key < KEYS; key++) assert.equal(again.of(key), before.of(key));
  });

  test(`${name} gives a key that has tried its endpoint the same other one always`, () => {
    const endpoints = idleEndpoints(1, 1, 1, 1);
    const { of } = keyed(balancer, endpoints);
    const seconds = new Set<string>();
    for (let key = 0; key < 500; key++) {
      const first = endpoints.find(({ id }) => id === of(key)) ?? assert.fail();
      const second = of(key, first);
      assert.notEqual(second, first.id);
      assert.equal(of(key, first), second);
      if (first.id === "1") seconds.add(second);
    }
    assert.deepEqual([...seconds].sort(), ["2", "3", "4"], "the load of one that goes is spread over all others");
  });

  test(`${name} works its table out anew only where endpoints or weights have changed`, () => {
    const endpoints = idleEndpoints(1, 1, 1);
    let picker = keyed(balancer, endpoints).picker;
    const began = process.cpuUsage();
    for (let n = 0; n < 2000; n++)
      picker = balancer.picker(
        endpoints,
        tools(() => 0),
        picker,
      );
    const { user } = process.cpuUsage(began);
    assert.ok(user < 1_000_000, `${user} µs of CPU`);
    const [first] = endpoints;
    assert.ok(first !== undefined);
    first.weight = 50;
    let heavy = 0;
    const weighted = keyed(balancer, endpoints, picker);
    for (let key = 0; key < 1000; key++) if (weighted.of(key) === "1") heavy++;
    assert.ok(heavy > 900, `${heavy} of 1000`);
  });

  test(`${name} gives calls without a key to any endpoint`, () => {
    const endpoints = idleEndpoints(1, 1, 1);
    const picker = balancer.picker(endpoints, tools(seededRandom(1)), undefined);
    const seen = new Set(Array.from({ length: 100 }, () => picker.pick(ANY)?.id));
    assert.equal(seen.size, 3);
  });
}

/** What those do where an endpoint may only have so much of the calls under way. */
export function boundedLoads(balancer: BalancerDefinition): void {
  const { name } = balancer;

  test(`${name} gives the calls of a key that everybody asks for to others, too, once its endpoint has its share`, () => {
    const endpoints = idleEndpoints(1, 1, 1, 2);
    let key = 77;
    const picker = balancer.picker(endpoints, tools(seededRandom(1), { hash: () => key, maxLoad: 1.25 }), undefined);
    const pick = (): Endpoint => picker.pick(ANY) ?? assert.fail();
    const home = pick();
    for (let n = 0; n < 100; n++) pick().started();
    const counts = endpoints.map(({ inFlight }) => inFlight);
    for (const [at, { weight }] of endpoints.entries())
      assert.ok((counts[at] ?? 0) <= Math.ceil((1.25 * 100 * weight) / 5), `${counts.join()} at the end`);
    assert.ok(home.inFlight >= 25, "its own one has as much as it may");
    for (const endpoint of endpoints) endpoint.inFlight = 0;
    assert.equal(pick(), home, "and all of them when there is room again");
    for (key = 0; key < 50; key++) {
      const one = pick();
      assert.equal(pick(), one, "a quiet service keeps keys where they are");
    }
  });
}

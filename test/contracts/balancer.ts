import assert from "node:assert/strict";
import { test } from "node:test";
import type { BalancerDefinition, Picker } from "../../src/cluster/balancer.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import { ANY, after, idleEndpoints, tools } from "../cluster/endpoints.ts";
import { chiSquare, chiSquareBound, seededRandom } from "../support/random.ts";

/** How often each endpoint is picked for calls that end at once. */
export function share(picker: Picker, endpoints: readonly Endpoint[], picks: number): number[] {
  const counts = new Map(endpoints.map((endpoint) => [endpoint, 0]));
  for (let n = 0; n < picks; n++) {
    const endpoint = picker.pick(ANY);
    assert.ok(endpoint !== undefined);
    counts.set(endpoint, (counts.get(endpoint) ?? Number.NaN) + 1);
  }
  return endpoints.map((endpoint) => counts.get(endpoint) ?? 0);
}

/** Asserts that counts are as far from `weights` as chance has it, or nearer. */
export function assertShares(counts: readonly number[], weights: readonly number[]): void {
  const calls = counts.reduce((sum, count) => sum + count, 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const expected = weights.map((weight) => (calls * weight) / total);
  const distance = chiSquare(counts, expected);
  assert.ok(distance < chiSquareBound(counts.length), `${counts.join()} for ${expected.join()}: ${distance}`);
}

/** Which endpoints so many picks come to, by id. */
function picked(picker: Picker, count: number, tried?: readonly Endpoint[]): string[] {
  return [...new Set(Array.from({ length: count }, () => picker.pick({ ...ANY, tried })?.id ?? "none"))].sort();
}

const idsOf = (endpoints: readonly Endpoint[]) => endpoints.map(({ id }) => id).sort();

/** What every balancer has to do. */
export function balancerContract(balancer: BalancerDefinition): void {
  const pickerOf = (endpoints: readonly Endpoint[], previous?: Picker, seed = 1) =>
    balancer.picker(endpoints, tools(seededRandom(seed)), previous);
  const name = balancer.name;

  test(`${name} picks nothing where there is nothing`, () => {
    assert.equal(pickerOf([]).pick(ANY), undefined);
    assert.equal(pickerOf([]).pick(after(...idleEndpoints(1))), undefined);
  });

  test(`${name} picks the only endpoint always, even one that was tried`, () => {
    for (const weight of [1, 7]) {
      const [only] = idleEndpoints(weight);
      assert.ok(only !== undefined);
      const picker = pickerOf([only]);
      for (let n = 0; n < 10; n++) assert.equal(picker.pick(ANY), only);
      assert.equal(picker.pick(after(only)), only);
    }
  });

  test(`${name} never picks a tried endpoint while there is another`, () => {
    for (const weights of [
      [1, 1, 1, 1],
      [1, 2, 3, 4],
      [100, 1, 1, 100],
    ]) {
      const endpoints = idleEndpoints(...weights);
      const picker = pickerOf(endpoints);
      for (let mask = 1; mask < 15; mask++) {
        const tried = endpoints.filter((_, at) => (mask & (1 << at)) !== 0);
        for (let n = 0; n < 50; n++) {
          const endpoint = picker.pick(after(...tried));
          assert.ok(endpoint !== undefined && !tried.includes(endpoint));
        }
      }
    }
  });

  test(`${name} picks one of those that it was given last, however the set changes`, () => {
    const all = idleEndpoints(1, 1, 1, 1, 1, 1);
    let picker: Picker | undefined;
    for (const endpoints of [all, all.slice(2), all.slice(0, 3), idleEndpoints(1, 2), all, []]) {
      picker = pickerOf(endpoints, picker);
      for (const id of picked(picker, 50)) assert.ok(idsOf(endpoints).includes(id) || endpoints.length === 0);
    }
  });
}

/** What every balancer has to do besides that gives all endpoints their share. */
export function spreadingContract(balancer: BalancerDefinition): void {
  const pickerOf = (endpoints: readonly Endpoint[], previous?: Picker, seed = 1) =>
    balancer.picker(endpoints, tools(seededRandom(seed)), previous);
  const name = balancer.name;

  test(`${name} picks again among all where every one was tried`, () => {
    for (const weights of [
      [1, 1, 1],
      [1, 2, 3],
    ]) {
      const endpoints = idleEndpoints(...weights);
      const picker = pickerOf(endpoints);
      assert.deepEqual(picked(picker, 200, endpoints), idsOf(endpoints));
    }
  });

  test(`${name} does not mind tried endpoints that have left`, () => {
    const endpoints = idleEndpoints(1, 1, 1);
    assert.deepEqual(picked(pickerOf(endpoints), 100, idleEndpoints(1)), idsOf(endpoints));
  });

  for (const count of [2, 3, 10, 100]) {
    test(`${name} gives each of ${count} idle endpoints the same share`, () => {
      for (const seed of [1, 2, 3]) {
        const endpoints = idleEndpoints(...Array.from({ length: count }, () => 1));
        assertShares(
          share(pickerOf(endpoints, undefined, seed), endpoints, count * 1000),
          endpoints.map(() => 1),
        );
      }
    });
  }

  for (const weights of [
    [1, 3],
    [1, 2, 3],
    [1, 10, 10],
    [5, 1, 1, 1],
    [1, 100],
  ]) {
    test(`${name} gives idle endpoints of weights ${weights.join(":")} their shares`, () => {
      for (const seed of [1, 2, 3]) {
        const endpoints = idleEndpoints(...weights);
        assertShares(share(pickerOf(endpoints, undefined, seed), endpoints, 20_000), weights);
      }
    });
  }

  test(`${name} knows exactly the endpoints that it was given last, however the set changes`, () => {
    const all = idleEndpoints(1, 1, 1, 1, 1, 1);
    const heavy = idleEndpoints(1, 1, 1, 1, 1, 1, 1, 2, 3).slice(6);
    let picker: Picker | undefined;
    for (const endpoints of [all, all.slice(2), all.slice(0, 3), heavy, [...heavy, ...all], all, []]) {
      picker = pickerOf(endpoints, picker);
      assert.deepEqual(picked(picker, 500), endpoints.length === 0 ? ["none"] : idsOf(endpoints));
    }
  });

  test(`${name} stays even when it is rebuilt at every other call`, () => {
    for (const weights of [
      [1, 1, 1],
      [1, 2, 3],
    ]) {
      const endpoints = idleEndpoints(...weights);
      const random = seededRandom(7);
      let picker = balancer.picker(endpoints, tools(random), undefined);
      const counts = endpoints.map(() => 0);
      for (let n = 0; n < 6000; n++) {
        if (n % 2 === 0) picker = balancer.picker(endpoints, tools(random), picker);
        const at = endpoints.indexOf(picker.pick(ANY) ?? assert.fail());
        counts[at] = (counts[at] ?? 0) + 1;
      }
      assertShares(counts, weights);
    }
  });

  test(`${name} has many callers that start together begin at different endpoints`, () => {
    for (const weights of [
      [1, 1, 1, 1],
      [1, 2, 2, 1],
    ]) {
      const endpoints = idleEndpoints(...weights);
      const pickers = Array.from({ length: 100 }, (_, seed) => pickerOf(endpoints, undefined, seed));
      const firsts = new Set(pickers.map((picker) => picker.pick(ANY)?.id));
      assert.equal(firsts.size, endpoints.length);
    }
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { AperturePicker, within } from "../../../src/cluster/choice/aperture.ts";
import { chiSquare, chiSquareBound, seededRandom } from "../../support/random.ts";
import { ANY, after, idleEndpoints } from "../endpoints.ts";

const twenty = idleEndpoints(...Array.from({ length: 20 }, () => 1));

test("each sidecar calls so many endpoints, and others call others: all get the same share over many sidecars", () => {
  const random = seededRandom(7);
  const counts = new Map(twenty.map((endpoint) => [endpoint, 0]));
  for (let sidecar = 0; sidecar < 2000; sidecar++) {
    const chosen = within(twenty, 5, Math.floor(random() * 2 ** 32));
    assert.equal(chosen.length, 5);
    for (const endpoint of chosen) counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  const distance = chiSquare(
    [...counts.values()],
    twenty.map(() => 500),
  );
  assert.ok(distance < chiSquareBound(20), `${[...counts.values()].join()}: ${distance}`);
});

test("a sidecar goes on with its endpoints where others come and go, and has one more where one of its own goes", () => {
  const seed = 12_345;
  const before = within(twenty, 5, seed);
  const [gone] = before;
  const without = within(
    twenty.filter((endpoint) => endpoint !== gone),
    5,
    seed,
  );
  assert.equal(without.length, 5);
  assert.equal(without.filter((endpoint) => before.includes(endpoint)).length, 4);
  const notMine = twenty.find((endpoint) => !before.includes(endpoint));
  const same = within(
    twenty.filter((endpoint) => endpoint !== notMine),
    5,
    seed,
  );
  assert.deepEqual(same, before);
  assert.equal(within(twenty, 20, seed), twenty);
});

test("a call that has tried all of them goes to another one", () => {
  const [first, second, third] = twenty;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const picker = new AperturePicker({ pick: () => first }, [first, second, third], seededRandom(1));
  assert.equal(picker.pick(ANY), first);
  for (let n = 0; n < 20; n++) assert.equal(picker.pick(after(first, second)), third);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamTable } from "../../src/http2/stream-table.ts";
import { seededInteger } from "../support/random-integer.ts";

function ids(table: StreamTable<{ id: number }>): number[] {
  return table
    .values()
    .map(({ id }) => id)
    .sort((a, b) => a - b);
}

test("whatever is added and deleted, the table holds what a Map would hold", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededInteger(seed);
    const table = new StreamTable<{ id: number }>();
    const model = new Map<number, { id: number }>();
    const parity = seed % 2;
    let next = 1 + parity;
    for (let step = 0; step < 2000; step++) {
      // Identifiers grow as those of streams do, with gaps, and sometimes the same place is wanted by many.
      if (random(5) < 3) {
        const entry = { id: next };
        next += 2 * (random(4) === 0 ? 1 + random(64) : 1);
        table.add(entry);
        model.set(entry.id, entry);
      } else {
        const known = [...model.keys()];
        const id = known[random(known.length + 1)] ?? next + 2;
        table.delete(id);
        model.delete(id);
      }
      assert.equal(table.size, model.size);
      if (step % 100 === 0) {
        assert.deepEqual(
          ids(table),
          [...model.keys()].sort((a, b) => a - b),
        );
        for (const [id, entry] of model) assert.equal(table.get(id), entry);
        assert.equal(table.get(next), undefined);
      }
    }
  }
});

test("an entry that shares its place with others is found after they are deleted, in any order", () => {
  // 16 places at first, by identifier / 2: all of these want the same one.
  const wanted = [1, 33, 65, 97, 129];
  for (const first of wanted) {
    for (const second of wanted) {
      const table = new StreamTable<{ id: number }>();
      for (const id of wanted) table.add({ id });
      table.delete(first);
      table.delete(second);
      const left = wanted.filter((id) => id !== first && id !== second);
      assert.deepEqual(ids(table), left);
      for (const id of left) assert.equal(table.get(id)?.id, id);
      for (const id of [first, second]) assert.equal(table.get(id), undefined);
    }
  }
});

test("values may be deleted while they are walked", () => {
  const table = new StreamTable<{ id: number }>();
  for (let id = 1; id < 100; id += 2) table.add({ id });
  for (const { id } of table.values()) table.delete(id);
  assert.equal(table.size, 0);
  assert.deepEqual(table.values(), []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Link, LinkedList } from "../../src/core/linked-list.ts";
import { seededRandom } from "../support/random.ts";

function itemsOf<T>(list: LinkedList<T>, from: "first" | "last" = "first"): T[] {
  const items: T[] = [];
  for (let at = list[from]; at !== undefined; at = from === "first" ? at.after : at.before) items.push(at.item);
  return items;
}

test("items are in the order in which they came, and a link that was taken out can be put at the end again", () => {
  const list = new LinkedList<string>();
  const [first] = ["a", "b", "c"].map((item) => list.add(item));
  assert.ok(first !== undefined && list.delete(first));
  assert.equal(list.delete(first), false, "it is in no list any more");
  list.append(first);
  assert.deepEqual(itemsOf(list), ["b", "c", "a"]);
});

test("a link of another list stays where it is", () => {
  const [list, other] = [new LinkedList<string>(), new LinkedList<string>()];
  const link = other.add("a");
  assert.equal(list.delete(link), false);
  assert.deepEqual([itemsOf(list), itemsOf(other)], [[], ["a"]]);
});

for (const seed of [1, 2, 3])
  test(`whatever is put in and taken out, the list is what an array would be, from either end (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const list = new LinkedList<number>();
    const model: Link<number>[] = [];
    for (let step = 0; step < 2000; step++) {
      if (random() < 0.5) model.push(list.add(step));
      else for (const link of model.splice(Math.floor(random() * model.length), 1)) assert.ok(list.delete(link));
      const items = model.map(({ item }) => item);
      assert.deepEqual(itemsOf(list), items);
      assert.deepEqual(itemsOf(list, "last"), items.toReversed());
    }
  });

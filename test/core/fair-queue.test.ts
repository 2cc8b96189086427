import assert from "node:assert/strict";
import { test } from "node:test";
import { FairQueue, type Queued, type Sharer } from "../../src/core/fair-queue.ts";
import { seededRandom } from "../support/random.ts";

/** Somebody who can be given more. */
interface Named extends Sharer {
  readonly name: string;
  share: number;
}

const named = (...names: readonly string[]): Named[] => names.map((name) => ({ name, share: 0 }));

/** What the queue gives until it is empty. */
function all<T>(queue: FairQueue<T>): T[] {
  const items: T[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) items.push(item);
  return items;
}

/** So many more of somebody. */
function add(queue: FairQueue<string>, sharer: Named | undefined, count: number): Queued<string>[] {
  assert.ok(sharer !== undefined);
  return Array.from({ length: count }, (_, at) => queue.add(`${sharer.name} ${at + 1}`, sharer));
}

test("sharers have their turns one after the other, whoever came first, and each has its own in their order", () => {
  const queue = new FairQueue<string>();
  const [greedy, modest, late] = named("greedy", "modest", "late");
  add(queue, greedy, 4);
  add(queue, modest, 2);
  add(queue, late, 1);
  assert.deepEqual(all(queue), ["greedy 1", "modest 1", "late 1", "greedy 2", "modest 2", "greedy 3", "greedy 4"]);
  assert.equal(queue.size, 0);
});

test("whoever has less goes first, and those with equal shares take turns", () => {
  const queue = new FairQueue<string>();
  const [holder, other] = named("holder", "other");
  assert.ok(holder !== undefined && other !== undefined);
  holder.share = 2;
  add(queue, holder, 2);
  add(queue, other, 5);
  const taken: (string | undefined)[] = [];
  // What is taken is had from then on.
  while (queue.size > 0) {
    const item = queue.shift();
    taken.push(item);
    (item?.startsWith("holder") === true ? holder : other).share++;
  }
  assert.deepEqual(taken, ["other 1", "other 2", "holder 1", "other 3", "holder 2", "other 4", "other 5"]);
});

test("what was taken out does not come, and cannot be taken out twice", () => {
  const queue = new FairQueue<string>();
  const [one] = named("one");
  assert.ok(one !== undefined);
  const [first, second] = add(queue, one, 3);
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual([queue.delete(second), queue.delete(second)], [true, false]);
  assert.equal(queue.shift(), "one 1");
  assert.equal(queue.delete(first), false);
  assert.deepEqual([all(queue), queue.size, queue.sizeOf(one)], [["one 3"], 0, 0]);
});

test("whoever has most makes room by its newest for those who would have less even then", () => {
  const queue = new FairQueue<string>();
  const [a, b, newcomer] = named("a", "b", "newcomer");
  assert.ok(a !== undefined && b !== undefined && newcomer !== undefined);
  add(queue, a, 3);
  assert.equal(queue.rival(newcomer), "a 3");
  assert.equal(queue.rival(a), undefined, "it has most itself");
  add(queue, b, 2);
  assert.equal(queue.rival(b), undefined, "it has as much as a would have then");
  assert.equal(new FairQueue().rival(a), undefined, "there is nobody");
});

/** One that waits in the model. */
interface Waiting {
  readonly item: number;
  readonly sharer: Named;
  readonly queued: Queued<number>;
}

/** The same with an array, which is looked through from end to end. */
class Model {
  readonly waiting: Waiting[] = [];

  of(sharer: Named): Waiting[] {
    return this.waiting.filter((one) => one.sharer === sharer);
  }

  sharers(): Named[] {
    return [...new Set(this.waiting.map(({ sharer }) => sharer))];
  }

  /** Whether that may be the rival of `of`. */
  mayBeRival(item: number | undefined, of: Named): boolean {
    const most = Math.max(0, ...this.sharers().map((sharer) => this.of(sharer).length));
    if (item === undefined) return this.of(of).length + 1 >= most;
    const found = this.waiting.find((one) => one.item === item);
    if (found === undefined || this.of(of).length + 1 >= most) return false;
    const beside = this.of(found.sharer);
    return beside.length === most && beside.at(-1) === found;
  }
}

for (const seed of [1, 2, 3, 4, 5])
  test(`whatever comes and goes, all leave once and in their order, nobody starves, nothing is kept (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const queue = new FairQueue<number>();
    const model = new Model();
    const sharers = named("a", "b", "c", "d", "e", "f", "g", "h");
    /** How many turns of others somebody who waits has seen since their own. */
    const passed = new Map<Named, number>();
    const left = new Set<number>();
    for (let step = 0; step < 3000; step++) {
      // Some have much, others little, and now and then nothing is left.
      const from = sharers[Math.floor(random() ** 3 * sharers.length)];
      assert.ok(from !== undefined);
      const chance = random() + (Math.floor(step / 300) % 2) * 0.25;
      if (chance < 0.5) {
        model.waiting.push({ item: step, sharer: from, queued: queue.add(step, from) });
      } else if (chance < 0.6 && model.waiting.length > 0) {
        const [one] = model.waiting.splice(Math.floor(random() * model.waiting.length), 1);
        assert.ok(one !== undefined && queue.delete(one.queued) && !queue.delete(one.queued));
        left.add(one.item);
      } else {
        const item = queue.shift();
        const at = model.waiting.findIndex((one) => one.item === item);
        assert.equal(at < 0, model.waiting.length === 0);
        const [one] = at < 0 ? [] : model.waiting.slice(at, at + 1);
        if (one !== undefined) {
          assert.equal(model.of(one.sharer)[0], one, "of one sharer what has waited longest is the first");
          model.waiting.splice(at, 1);
          assert.ok(!left.has(one.item), "it has left before");
          left.add(one.item);
          for (const sharer of passed.keys()) passed.set(sharer, (passed.get(sharer) ?? 0) + 1);
          passed.set(one.sharer, 0);
        }
      }
      for (const sharer of [...passed.keys()]) if (model.of(sharer).length === 0) passed.delete(sharer);
      for (const sharer of model.sharers()) if (!passed.has(sharer)) passed.set(sharer, 0);
      for (const { name } of [...passed].filter(([, turns]) => turns >= sharers.length).map(([sharer]) => sharer))
        assert.fail(`${name} has seen the turns of all others and had none`);
      assert.equal(queue.size, model.waiting.length);
      assert.equal(queue.sizeOf(from), model.of(from).length);
      assert.ok(model.mayBeRival(queue.rival(from), from), `not the rival of ${from.name}`);
    }
    const items = queue.entries().map(({ link }) => link.item);
    assert.deepEqual(
      items.toSorted((a, b) => a - b),
      model.waiting.map(({ item }) => item),
    );
    all(queue);
    assert.equal(queue.sharers, 0);
  });

for (const seed of [1, 2, 3])
  test(`whatever is held and for how long, places end up shared: nobody with something waiting has fewer than another plus one (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const queue = new FairQueue<Named>();
    const sharers = named("a", "b", "c", "d", "e");
    const places = 20;
    const held: Named[] = [];
    // Each wants more than there is; the first one had all places before the others came, and lets go slowly.
    const [greedy, ...others] = sharers;
    assert.ok(greedy !== undefined);
    for (let at = 0; at < 1000; at++) queue.add(greedy, greedy);
    const fill = (): void => {
      while (held.length < places) {
        const next = queue.shift();
        if (next === undefined) return;
        next.share++;
        held.push(next);
      }
    };
    fill();
    for (const other of others) for (let at = 0; at < 1000; at++) queue.add(other, other);
    for (let step = 0; step < 500; step++) {
      for (const gone of held.splice(Math.floor(random() * held.length), 1)) gone.share--;
      fill();
    }
    const shares = sharers.map(({ share }) => share);
    assert.ok(Math.max(...shares) - Math.min(...shares) <= 1, `shares of ${shares.join(", ")}`);
  });

test("more sharers than are compared at a time have their turns, however much those before them have", () => {
  const queue = new FairQueue<Named>();
  const many = named(...Array.from({ length: 500 }, (_, at) => `attacker ${at}`));
  for (const one of many) {
    one.share = 10;
    for (let at = 0; at < 5; at++) queue.add(one, one);
  }
  const [modest] = named("modest");
  assert.ok(modest !== undefined);
  queue.add(modest, modest);
  let turns = 1;
  while (queue.shift() !== modest) turns++;
  assert.ok(turns <= 500, `${turns} turns`);
});

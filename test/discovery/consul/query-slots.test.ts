import assert from "node:assert/strict";
import { test } from "node:test";
import { QuerySlots, type Release, SLOT_LIMITS, type SlotLimits } from "../../../src/discovery/consul/query-slots.ts";
import { FakeClock, settled } from "../../support/clock.ts";

const never = new AbortController().signal;
const idle = { urgent: false, rate: 0, since: 0 };
const urgent = { urgent: true, rate: 0, since: 0 };

function start(limits: Partial<SlotLimits>) {
  const clock = new FakeClock();
  const sizes: number[] = [];
  const slots = new QuerySlots(clock, (size) => void sizes.push(size), { ...SLOT_LIMITS, ...limits });
  const granted: string[] = [];
  /** Queues for a slot and notes when it is granted. */
  const take = async (who: string, applicant = idle): Promise<Release | undefined> => {
    const release = await slots.acquire(applicant, never);
    granted.push(who);
    return release;
  };
  return { clock, slots, sizes, granted, take };
}

/** A fixed number of slots. */
const fixed = (count: number) => ({ first: count, most: count });

test("no more slots are given than there are, and a released one goes to who waits longest", async () => {
  const { clock, slots, take, granted } = start(fixed(2));
  const first = await slots.acquire(idle, never);
  const second = await slots.acquire(idle, never);
  const fourth = take("fourth", { ...idle, since: 2 });
  const third = take("third", { ...idle, since: 1 });
  clock.advance(5);
  assert.equal(slots.waiting, 2);
  first?.();
  first?.();
  await third;
  assert.deepEqual(granted, ["third"]);
  second?.();
  await fourth;
  assert.equal(slots.waiting, 0);
});

test("who has no answer yet goes before who waits for a change", async () => {
  const { clock, slots, take, granted } = start(fixed(1));
  const first = await slots.acquire(idle, never);
  const later = take("later");
  clock.advance(60_000);
  const now = take("urgent", urgent);
  first?.();
  (await now)?.();
  await later;
  assert.deepEqual(granted, ["urgent", "later"]);
});

test("who gives up leaves the queue and gets no slot", async () => {
  const { slots } = start(fixed(1));
  const first = await slots.acquire(idle, never);
  const gone = new AbortController();
  const waiting = slots.acquire(idle, gone.signal);
  const behind = slots.acquire(idle, never);
  gone.abort();
  assert.equal(await waiting, undefined);
  assert.equal(slots.waiting, 1);
  first?.();
  assert.ok(await behind);
  assert.equal(await slots.acquire(urgent, gone.signal), undefined);
});

test("a slot that nobody waits for is free again", async () => {
  const { slots } = start(fixed(1));
  for (let n = 0; n < 3; n++) (await slots.acquire(idle, never))?.();
  assert.equal(slots.waiting, 0);
});

test("the busiest names have most turns, and the others have theirs", async () => {
  const { clock, slots } = start(fixed(4));
  const turns = new Map<string, number>();
  let longest = 0;
  const run = async (name: string, rate: number): Promise<void> => {
    for (;;) {
      const asked = clock.now();
      const release = await slots.acquire({ urgent: false, rate, since: asked }, never);
      longest = Math.max(longest, clock.now() - asked);
      turns.set(name, (turns.get(name) ?? 0) + 1);
      await new Promise<void>((resolve) => void clock.setTimer(1000, resolve));
      release?.();
    }
  };
  for (let n = 0; n < 40; n++) void run(`name-${n}`, n < 2 ? 1000 : 0);
  await clock.pass(120_000);
  // 480 turns, which would be 12 for each of the 40.
  const busy = Math.min(turns.get("name-0") ?? 0, turns.get("name-1") ?? 0);
  const others = [...turns].filter(([name]) => !/-[01]$/.test(name)).map(([, count]) => count);
  assert.equal(others.length, 38);
  assert.ok(busy >= 40, `${busy} turns for the busy ones`);
  assert.ok(Math.min(...others) >= 9, `${Math.min(...others)} turns for the idle ones`);
  assert.ok(longest <= 15_000, `${longest} ms until a turn came`);
});

test("slots are added while names wait and nothing is refused, up to the bound", async () => {
  const { clock, slots, sizes } = start({ first: 2, most: 5 });
  for (let n = 0; n < 20; n++) {
    void slots.acquire(idle, never).then(async (release) => {
      await new Promise<void>((resolve) => void clock.setTimer(10, resolve));
      release?.();
    });
  }
  await clock.pass(1000);
  assert.deepEqual(sizes, [2, 3, 4, 5]);
  assert.equal(slots.waiting, 0);
});

test("a refusal takes a quarter of the slots, once a second, and they come back one at a time", async () => {
  const { clock, slots, sizes } = start({ first: 16, most: 20 });
  const releases: Release[] = [];
  for (let n = 0; n < 16; n++) {
    const release = await slots.acquire(idle, never);
    assert.ok(release !== undefined);
    releases.push(release);
  }
  void slots.acquire(idle, never);
  slots.refused("429");
  slots.refused("429");
  assert.deepEqual(sizes, [16, 12]);
  for (const release of releases.splice(0, 5)) release();
  await settled();
  assert.equal(slots.waiting, 0, "11 of 12 were in use");
  void slots.acquire(idle, never);
  clock.advance(4999);
  releases.shift()?.();
  assert.equal(slots.count, 12);
  void slots.acquire(idle, never);
  clock.advance(1);
  releases.shift()?.();
  assert.equal(slots.count, 13);
  for (let n = 0; n < 30; n++) {
    clock.advance(1000);
    slots.refused("429");
  }
  assert.equal(slots.count, 4);
});

test("slots that are not used are not what is too much", async () => {
  const { slots } = start({ first: 16 });
  for (let n = 0; n < 8; n++) await slots.acquire(idle, never);
  slots.refused("429");
  assert.equal(slots.count, 6);
});

test("where few are in use a refusal has another reason", async () => {
  const { slots, sizes } = start({ first: 16, least: 4 });
  for (let n = 0; n < 4; n++) await slots.acquire(idle, never);
  slots.refused("closed the connection");
  assert.deepEqual(sizes, [16]);
});

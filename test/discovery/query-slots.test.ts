import assert from "node:assert/strict";
import { test } from "node:test";
import { QuerySlots, type Release } from "../../src/discovery/query-slots.ts";

const never = new AbortController().signal;

/** Queues for a slot and notes when it is granted. */
async function take(slots: QuerySlots, urgent: boolean, who: string, granted: string[]): Promise<Release | undefined> {
  const release = await slots.acquire(urgent, never);
  granted.push(who);
  return release;
}

test("no more slots are given than there are, and a released one goes to who waits longest", async () => {
  const slots = new QuerySlots(2);
  const first = await slots.acquire(false, never);
  const second = await slots.acquire(false, never);
  const granted: string[] = [];
  const third = take(slots, false, "third", granted);
  const fourth = take(slots, false, "fourth", granted);
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
  const slots = new QuerySlots(1);
  const first = await slots.acquire(false, never);
  const granted: string[] = [];
  const later = take(slots, false, "later", granted);
  const urgent = take(slots, true, "urgent", granted);
  first?.();
  (await urgent)?.();
  await later;
  assert.deepEqual(granted, ["urgent", "later"]);
});

test("who gives up leaves the queue and gets no slot", async () => {
  const slots = new QuerySlots(1);
  const first = await slots.acquire(false, never);
  const gone = new AbortController();
  const waiting = slots.acquire(false, gone.signal);
  const behind = slots.acquire(false, never);
  gone.abort();
  assert.equal(await waiting, undefined);
  assert.equal(slots.waiting, 1);
  first?.();
  assert.ok(await behind);
  assert.equal(await slots.acquire(true, gone.signal), undefined);
});

test("a slot that nobody waits for is free again", async () => {
  const slots = new QuerySlots(1);
  for (let n = 0; n < 3; n++) (await slots.acquire(false, never))?.();
  assert.equal(slots.waiting, 0);
});

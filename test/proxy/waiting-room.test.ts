import assert from "node:assert/strict";
import { test } from "node:test";
import { WaitingRoom } from "../../src/proxy/waiting-room.ts";

test("no more calls wait than there is room for", () => {
  const room = new WaitingRoom({ calls: 2, octets: 100, time: 1000 });
  assert.deepEqual([room.enter(), room.enter(), room.enter()], [true, true, false]);
  assert.equal(room.calls, 2);
  room.leave();
  assert.equal(room.enter(), true);
});

test("a caller may have as many calls waiting as it leaves room for others", () => {
  const room = new WaitingRoom({ calls: 100, octets: 100, time: 1000 });
  const all = ["greedy", "second", "third"].map(() => ({ waiting: 0 }));
  const counts = all.map((caller) => {
    for (let at = 0; at < 100; at++) room.enter(caller);
    return caller.waiting;
  });
  assert.deepEqual(counts, [50, 25, 13]);
  const honest = { waiting: 0 };
  assert.equal(room.enter(honest), true);
  room.leave(honest);
  assert.deepEqual([honest.waiting, room.calls], [0, 88]);
});

test("no more octets are kept than there is room for, and what was refused counts for nothing", () => {
  const room = new WaitingRoom({ calls: 2, octets: 100, time: 1000 });
  assert.deepEqual([room.hold(60), room.hold(41), room.hold(40), room.hold(1)], [true, false, true, false]);
  assert.equal(room.octets, 100);
  room.letGo(60);
  assert.equal(room.hold(60), true);
});

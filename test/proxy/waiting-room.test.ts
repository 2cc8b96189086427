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

test("no more octets are kept than there is room for, and what was refused counts for nothing", () => {
  const room = new WaitingRoom({ calls: 2, octets: 100, time: 1000 });
  assert.deepEqual([room.hold(60), room.hold(41), room.hold(40), room.hold(1)], [true, false, true, false]);
  assert.equal(room.octets, 100);
  room.letGo(60);
  assert.equal(room.hold(60), true);
});

test("one of several may have as many octets as are left to the others, who find room beside it", () => {
  const room = new WaitingRoom({ calls: 2, octets: 1000, time: 1000 });
  const [greedy, second, third] = [{ kept: 0 }, { kept: 0 }, { kept: 0 }];
  for (const keeper of [greedy, second, third]) while (room.hold(10, keeper));
  assert.deepEqual([greedy.kept, second.kept, third.kept, room.octets], [500, 250, 120, 870]);
  room.letGo(greedy.kept, greedy);
  assert.deepEqual([greedy.kept, room.octets], [0, 370]);
  assert.equal(room.hold(300, third), false);
  assert.equal(room.hold(200, third), true);
});

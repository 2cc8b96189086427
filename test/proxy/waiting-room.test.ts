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

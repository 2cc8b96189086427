import assert from "node:assert/strict";
import { test } from "node:test";
import type { Failure } from "../../src/http/call.ts";
import { type CallerShare, Callers } from "../../src/http/callers.ts";
import { FairRoom, type Guest, type Seat } from "../../src/proxy/fair-room.ts";
import { seededRandom } from "../support/random.ts";

const callers = new Callers("inbound");
/** Each stays known here. */
const known = new Map<string, CallerShare>();

function callerOf(peer: string, identity: string | undefined): CallerShare {
  const name = `${identity} ${peer}`;
  const caller = known.get(name) ?? callers.join(identity, peer);
  known.set(name, caller);
  return caller;
}

/** A call that waits in a room until it is told to go. */
class Waiting implements Guest {
  readonly call: Guest["call"];
  private readonly room: FairRoom;
  private seat: Seat | undefined = undefined;
  refused: Failure | undefined = undefined;

  constructor(room: FairRoom, peer: string, identity?: string) {
    this.call = { caller: callerOf(peer, identity) };
    this.room = room;
  }

  enter(): boolean {
    this.seat = this.room.seat(this);
    return this.seat !== undefined;
  }

  get waits(): boolean {
    return this.seat !== undefined;
  }

  refuse(why: Failure): void {
    assert.equal(this.refused, undefined, "it was refused before");
    this.refused = why;
    this.leave();
  }

  leave(): void {
    if (this.seat !== undefined) this.room.stand(this.seat);
    this.seat = undefined;
  }
}

function roomOf(calls: number): FairRoom {
  return new FairRoom({ calls, octets: 100, time: 1000 });
}

/** So many calls of one peer that try to wait. */
function come(room: FairRoom, count: number, peer: string, identity?: string): Waiting[] {
  return Array.from({ length: count }, () => {
    const one = new Waiting(room, peer, identity);
    one.enter();
    return one;
  });
}

const waitingOf = (calls: readonly Waiting[]): number => calls.filter(({ waits }) => waits).length;

test("whoever is alone may have all of the places, and no more", () => {
  const room = roomOf(10);
  const calls = come(room, 11, "10.0.0.1:1");
  assert.equal(waitingOf(calls), 10);
  const { reason, detail, unprocessed } = calls.at(-1)?.refused ?? {};
  assert.deepEqual(
    [reason, detail, unprocessed],
    ["QUEUE_FULL", "10 calls are waiting already, 10 of this caller", true],
  );
});

test("a modest caller finds a place, however many a greedy dozen has", () => {
  const room = roomOf(120);
  const greedy = Array.from({ length: 12 }, (_, at) => come(room, 100, `10.0.0.${at}:1`));
  const modest = come(room, 9, "10.0.1.1:1");
  assert.equal(waitingOf(modest), 9);
  assert.equal(room.calls, 120);
  for (const calls of greedy) assert.ok(waitingOf(calls) >= 9, `${waitingOf(calls)} places are left to one of them`);
  assert.deepEqual(
    greedy.flatMap((calls) => calls.flatMap(({ refused }) => refused?.reason ?? [])),
    Array.from({ length: 1200 - 111 }, () => "QUEUE_FULL"),
  );
});

test("it is the newest of those who have most that goes", () => {
  const room = roomOf(5);
  const greedy = come(room, 5, "10.0.0.1:1");
  const [modest] = come(room, 1, "10.0.0.2:1");
  assert.deepEqual(
    greedy.map(({ waits }) => waits),
    [true, true, true, true, false],
  );
  assert.equal(greedy[4]?.refused?.detail, "5 calls are waiting already, 5 of this caller");
  assert.equal(modest?.waits, true);
  assert.deepEqual([room.callers, room.gaveWay], [2, 1]);
});

test("a caller has one share for all of its connections", () => {
  const room = roomOf(100);
  const many = Array.from({ length: 50 }, (_, at) => come(room, 2, `10.0.0.1:${at + 1}`));
  const honest = come(room, 60, "10.0.0.2:1");
  assert.equal(waitingOf(honest), 50, "half of the places");
  assert.equal(waitingOf(many.flat()), 50);
});

test("a verified identity is one caller wherever it comes from, and addresses without one are others", () => {
  const room = roomOf(10);
  const calls = [1, 2, 3].flatMap((at) => come(room, 5, `10.0.0.${at}:1`, "spiffe://mesh/a"));
  const other = come(room, 6, "10.0.0.1:2", "spiffe://mesh/b");
  assert.deepEqual([waitingOf(calls), waitingOf(other)], [5, 5]);
  const nobody = come(room, 4, "10.0.0.1:3");
  assert.equal(waitingOf(nobody), 3);
});

test("places that are counted only are nobody's, and are not taken away", () => {
  const room = roomOf(2);
  assert.deepEqual([room.enter(), room.enter(), room.enter()], [true, true, false]);
  assert.deepEqual(waitingOf(come(room, 1, "10.0.0.1:1")), 0);
  room.leave();
  assert.deepEqual(waitingOf(come(room, 1, "10.0.0.1:1")), 1);
});

for (const seed of [1, 2, 3])
  test(`whoever comes and goes, each hears once, the room is never over its size, and no caller below its share is refused (seed ${seed})`, () => {
    const random = seededRandom(seed);
    const places = 40;
    const room = roomOf(places);
    const count = 7;
    const inside: Waiting[] = [];
    for (let step = 0; step < 5000; step++) {
      const caller = Math.floor(random() ** 3 * count);
      if (random() < 0.3 && inside.length > 0) {
        for (const one of inside.splice(Math.floor(random() * inside.length), 1)) one.leave();
      } else {
        const one = new Waiting(room, `10.0.0.${caller}:${Math.floor(random() * 3)}`);
        const mine = inside.filter(({ waits, call }) => waits && call.caller === one.call.caller).length;
        if (one.enter()) inside.push(one);
        else assert.ok(mine >= Math.floor(places / count) - 1, `${mine} places are no share`);
      }
      for (let at = inside.length - 1; at >= 0; at--) if (inside[at]?.waits === false) inside.splice(at, 1);
      assert.equal(room.calls, inside.length);
      assert.ok(room.calls <= places);
    }
    for (const one of inside) one.leave();
    assert.equal(room.calls, 0);
  });

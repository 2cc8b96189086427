import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { RequestBody } from "../../src/proxy/request-body.ts";
import { WaitingRoom } from "../../src/proxy/waiting-room.ts";
import { FakeStreamHost } from "../support/stream-host.ts";

function setup(octets = 1000) {
  const room = new WaitingRoom({ calls: 10, octets, time: 1000 });
  const released: number[] = [];
  const body = new RequestBody(room, false, { release: (count) => released.push(count) });
  const keep = (text: string, limit = Number.POSITIVE_INFINITY) => body.keep(Buffer.from(text), 0, text.length, limit);
  return { room, released, body, keep, sum: () => released.reduce((all, one) => all + one, 0) };
}

/** The stream of an attempt. */
function attempt(room = Number.POSITIVE_INFINITY): FakeStreamHost {
  const host = new FakeStreamHost();
  host.room = room;
  host.stream.change("sendHeaders");
  return host;
}

test("what is kept is sent in order, with the end behind the last of it, and released once the upstream has taken it", () => {
  const { body, keep, sum, room } = setup();
  assert.ok(keep("one") && keep("") && keep("two"));
  assert.equal(room.octets, 6);
  body.ended = true;
  const host = attempt();
  body.sendTo(host.stream, { taken: 0 });
  assert.equal(host.written, "onetwo");
  assert.deepEqual(host.asked, ["data 3", "data 3 end"]);
  assert.equal(sum(), 6);
  body.forget();
  assert.equal(room.octets, 0);
});

test("an end without an octet, and trailers, are sent as well", () => {
  const bare = setup();
  bare.body.ended = true;
  const first = attempt();
  bare.body.sendTo(first.stream, { taken: 0 });
  assert.deepEqual(first.asked, ["data 0 end"]);

  const trailed = setup();
  trailed.keep("x");
  trailed.body.ended = true;
  trailed.body.trailers = new HeaderTable().head([["checksum", "1"]]);
  const second = attempt();
  trailed.body.sendTo(second.stream, { taken: 0 });
  assert.deepEqual(second.asked, ["data 1", "head checksum end"]);
});

test("octets that are sent again are not released again, however far the attempts before got", () => {
  const { body, keep, sum } = setup();
  keep("abcdef");
  // The first attempt takes four, the second two, the third all.
  body.sendTo(attempt(4).stream, { taken: 0 });
  assert.equal(sum(), 4);
  body.sendTo(attempt(2).stream, { taken: 0 });
  assert.equal(sum(), 4);
  const last = attempt(5);
  const upload = { taken: 0 };
  body.sendTo(last.stream, upload);
  assert.equal(sum(), 5);
  assert.equal(last.written, "abcde");
  body.taken(upload, 1);
  assert.equal(sum(), 6);
  body.taken(upload, 3);
  assert.equal(sum(), 9, "what comes after is released as it is taken");
});

test("of two attempts at once the one that is further releases", () => {
  const { body, keep, sum } = setup();
  keep("abcdef");
  const slow = { taken: 0 };
  const fast = { taken: 0 };
  body.sendTo(attempt(2).stream, slow);
  body.sendTo(attempt(4).stream, fast);
  assert.equal(sum(), 4);
  body.taken(slow, 1);
  assert.equal(sum(), 4);
  body.taken(slow, 3);
  assert.equal(sum(), 6, "the slow one has overtaken");
  body.taken(fast, 2);
  assert.equal(sum(), 6);
});

test("what would go over a call's limit or over what all may keep is not kept", () => {
  const { room, keep, body } = setup(10);
  assert.equal(keep("12345678", 7), false);
  assert.equal(keep("1234567", 7), true);
  assert.equal(keep("1", 7), false);
  assert.equal(keep("1234", 100), false, "all together");
  assert.equal(room.octets, 7);
  body.forget();
  body.forget();
  assert.equal(room.octets, 0);
});

test("a request is empty only where it has ended and was nothing but its head", () => {
  const { room } = setup();
  const made = (ended: boolean) => new RequestBody(room, ended, { release: () => {} });
  assert.ok(made(true).empty);
  assert.ok(!made(false).empty);
  const trailed = made(true);
  trailed.trailers = new HeaderTable().head([["a", "1"]]);
  assert.ok(!trailed.empty);
  const kept = made(true);
  kept.keep(Buffer.from("x"), 0, 1, 10);
  assert.ok(!kept.empty);
  kept.forget();
  assert.ok(!kept.empty, "what was forgotten is not nothing");
});

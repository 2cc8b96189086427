import assert from "node:assert/strict";
import { test } from "node:test";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { Burden, Unread } from "../../src/http2/unread.ts";
import { FakeClock, settled } from "../support/clock.ts";

/** A connection whose peer reads nothing until it is given up. */
function connection(
  all: Unread,
  name: string,
  gone: string[],
  isCaller = true,
): { burden: Burden; sent: { unread: number } } {
  const sent = { unread: 0 };
  const burden = new Burden(all, sent, isCaller, () => {
    gone.push(name);
    burden.keep(-burden.unread + sent.unread);
    burden.stop();
  });
  return { burden, sent };
}

test("over the limit the caller goes that leaves the most unread, and nobody else", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => connection(all, name, gone));
  a?.burden.keep(300);
  b?.burden.keep(500);
  c?.burden.keep(200);
  await settled(2);
  assert.deepEqual(gone, []);
  c?.burden.keep(1);
  assert.deepEqual(gone, [], "not while it is in the middle of something");
  await settled(2);
  assert.deepEqual(gone, ["b"]);
  assert.equal(all.octets, 501);
});

test("as many go as it takes, and once more when it is too much again", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  for (const [name, octets] of [
    ["a", 900],
    ["b", 5000],
    ["c", 4000],
    ["d", 10],
  ] as const)
    connection(all, name, gone).burden.keep(octets);
  await settled(2);
  assert.deepEqual(gone, ["b", "c"]);
  connection(all, "e", gone).burden.keep(95);
  await settled(2);
  assert.deepEqual(gone, ["b", "c", "a"]);
});

test("requests that an upstream does not take are the fault of whoever sent them", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  const upstream = connection(all, "upstream", gone, false);
  const [some, most] = [connection(all, "some", gone), connection(all, "most", gone)];
  some.sent.unread = 300;
  most.sent.unread = 800;
  upstream.burden.keep(1100);
  await settled(2);
  // What it kept for that caller has not gone in this test: the next one goes as well, and the upstream never does.
  assert.deepEqual(gone, ["most", "some"]);
});

test("where nothing is anybody's, nobody goes", async () => {
  const all = new Unread(new FlushLoop(new FakeClock()), 1000);
  const gone: string[] = [];
  connection(all, "idle", gone);
  connection(all, "upstream", gone, false).burden.keep(2000);
  await settled(2);
  assert.deepEqual(gone, []);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_WINDOW } from "../../src/http2/frame.ts";
import { RecvWindow, SendWindow } from "../../src/http2/window.ts";
import { seededInteger } from "../support/random-integer.ts";

test("a send window begins at 65,535 and can go below 0 and up to 2^31-1", () => {
  const window = new SendWindow();
  assert.equal(window.available, 65_535);
  window.take(65_535);
  assert.equal(window.increase(-70_000), true);
  assert.equal(window.available, -70_000);
  assert.equal(window.increase(70_000 + MAX_WINDOW), true);
  assert.equal(window.increase(1), false);
});

test("a receive window takes what it has and not an octet more", () => {
  const window = new RecvWindow(100, 100, 0);
  assert.equal(window.receive(60), true);
  assert.equal(window.receive(40), true);
  assert.equal(window.receive(0), true);
  assert.equal(window.receive(1), false);
  assert.equal(window.receive(0), true, "nothing may be sent at any time, even where the window is below 0");
});

test("slack is what a window takes beyond itself, and no more", () => {
  const window = new RecvWindow(100, 100, 0);
  assert.equal(window.receive(150, 50), true);
  assert.equal(window.receive(1, 50), false);
});

test("credit is announced once half of the window is owed", () => {
  const window = new RecvWindow(100, 100, 0);
  window.receive(100);
  assert.equal(window.release(49, 1000), 0);
  assert.equal(window.whole, false);
  assert.equal(window.release(1, 1000), 50);
  assert.equal(window.available, 50);
  assert.equal(window.release(50, 2000), 50);
  assert.equal(window.whole, true);
});

test("a window of one octet is credited octet by octet", () => {
  const window = new RecvWindow(1, 1, 0);
  for (let octet = 0; octet < 5; octet++) {
    assert.equal(window.receive(1), true);
    assert.equal(window.release(1, octet * 1000), 1);
  }
});

test("a window grows while half of it is released within 50 ms, up to its maximum", () => {
  const window = new RecvWindow(100, 350, 0);
  const grow = (now: number): number => {
    const before = window.size;
    window.receive(before / 2);
    assert.equal(window.release(before / 2, now), before / 2 + window.size - before);
    return window.size;
  };
  assert.equal(grow(49), 200);
  assert.equal(grow(98), 350);
  assert.equal(grow(99), 350);
  assert.equal(window.available, 350);
});

test("a reader that is slow does not make its window grow", () => {
  const window = new RecvWindow(100, 1000, 0);
  window.receive(100);
  assert.equal(window.release(50, 50), 50);
  assert.equal(window.release(50, 100), 50);
  assert.equal(window.size, 100);
});

test("a window grows by no more than there is room for", () => {
  const window = new RecvWindow(100, 1000, 0);
  window.receive(50);
  assert.equal(window.release(50, 1, 30), 80);
  assert.equal(window.size, 130);
  window.receive(65);
  assert.equal(window.release(65, 2, 0), 65);
  assert.equal(window.size, 130);
});

test("whatever is received and released in whatever pieces, nothing of a window is lost", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededInteger(seed);
    const size = 1 + random(500);
    const window = new RecvWindow(size, size + random(2000), 0);
    /** What the peer may send, as it knows it. */
    let peer = size;
    let held = 0;
    for (let step = 0, now = 0; step < 300; step++, now += random(60)) {
      const octets = random(peer + 1);
      peer -= octets;
      held += octets;
      assert.equal(window.receive(octets), true);
      assert.equal(window.available, peer, "both ends agree");
      const back = random(held + 1);
      held -= back;
      peer += window.release(back, now);
      assert.ok(peer + held <= window.size && window.size <= size + 2000);
      assert.equal(window.whole, held === 0);
    }
    peer += window.release(held, 1e9);
    assert.equal(window.whole, true);
    assert.ok(peer * 2 > window.size, "half of the window at least is with the peer");
  }
});

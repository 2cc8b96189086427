import assert from "node:assert/strict";
import { test } from "node:test";
import { HandshakeCount } from "../../src/identity/handshake-limits.ts";

const limits = { atOnce: 5, perSource: 2, rate: 10, timeout: 1000 };

test("so many at once from one source, so many in all, and a place that is given back is free again", () => {
  const count = new HandshakeCount();
  assert.deepEqual(
    [1, 2, 3].map(() => count.begin("a", limits, 0)),
    [true, true, false],
  );
  assert.deepEqual(
    [1, 2].map(() => count.begin("b", limits, 0)),
    [true, true],
  );
  assert.deepEqual(
    [1, 2].map((at) => count.begin(`c${at}`, limits, 0)),
    [true, false],
  );
  count.end("a");
  assert.equal(count.begin("d", limits, 0), true);
  assert.equal(count.size, 5);
});

test("so many a second from one source, beyond a burst of twice as many", () => {
  const count = new HandshakeCount();
  const one = (now: number): boolean => {
    const may = count.begin("a", limits, now);
    if (may) count.end("a");
    return may;
  };
  assert.equal(Array.from({ length: 40 }, () => one(0)).filter(Boolean).length, 20);
  assert.equal(Array.from({ length: 40 }, () => one(1000)).filter(Boolean).length, 10);
  assert.equal(Array.from({ length: 100 }, () => one(60_000)).filter(Boolean).length, 20);
});

test("what is remembered of sources is bounded, and those with a handshake under way are not forgotten", () => {
  const count = new HandshakeCount();
  const wide = { atOnce: 1_000_000, perSource: 1, rate: 10, timeout: 1000 };
  assert.equal(count.begin("held", wide, 0), true);
  for (let at = 0; at < 10_000; at++) {
    assert.equal(count.begin(`s${at}`, wide, 0), true);
    count.end(`s${at}`);
  }
  assert.equal(count.begin("held", wide, 0), false);
  const sources: unknown = Reflect.get(count, "sources");
  assert.ok(sources instanceof Map && sources.size <= 4096, `${String(Reflect.get(Object(sources), "size"))}`);
});

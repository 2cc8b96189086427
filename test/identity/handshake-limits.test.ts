import assert from "node:assert/strict";
import { test } from "node:test";
import { HandshakeCount } from "../../src/identity/handshake-limits.ts";

const limits = { atOnce: 5, perSource: 2, rate: 10, strangers: 20, timeout: 1000 };

/** Handshakes that are let in, by name, and those that had to give way. */
class Handshakes {
  readonly count = new HandshakeCount();
  readonly gone: string[] = [];
  private readonly ends = new Map<string, () => void>();

  /** Whether it may begin. */
  begin(name: string, address = name.slice(0, 1), now = 0): boolean {
    const end = this.count.begin(address, limits, now, () => this.gone.push(name));
    if (end !== undefined) this.ends.set(name, end);
    return end !== undefined;
  }

  end(name: string): void {
    this.ends.get(name)?.();
  }
}

test("one more from a source that has its share takes the place of its oldest one", () => {
  const all = new Handshakes();
  for (const name of ["a1", "a2", "a3"]) assert.equal(all.begin(name), true);
  assert.deepEqual(all.gone, ["a1"]);
  assert.equal(all.count.size, 2);
  all.end("a2");
  assert.equal(all.begin("a4"), true);
  assert.deepEqual(all.gone, ["a1"]);
});

test("one more than all places takes that of the oldest one of whoever has the most", () => {
  const all = new Handshakes();
  for (const name of ["a1", "b1", "b2", "c1", "d1"]) all.begin(name);
  assert.deepEqual(all.gone, []);
  assert.equal(all.begin("e1"), true);
  assert.deepEqual(all.gone, ["b1"]);
  // Of those that have as many, the one that came first.
  assert.equal(all.begin("f1"), true);
  assert.deepEqual(all.gone, ["b1", "a1"]);
  assert.equal(all.count.size, 5);
  // What has gone does not end a second time.
  all.end("b1");
  assert.equal(all.count.size, 5);
});

test("so many a second from one source, beyond a burst of twice as many", () => {
  const all = new Handshakes();
  const one = (now: number): boolean => {
    const may = all.begin("a", "a", now);
    all.end("a");
    return may;
  };
  assert.equal(Array.from({ length: 40 }, () => one(0)).filter(Boolean).length, 20);
  assert.equal(Array.from({ length: 40 }, () => one(1000)).filter(Boolean).length, 10);
  assert.equal(Array.from({ length: 100 }, () => one(60_000)).filter(Boolean).length, 20);
  assert.equal(all.begin("b"), true);
});

test("what is remembered of sources is bounded, and those with a handshake under way are not forgotten", () => {
  const count = new HandshakeCount();
  const wide = { atOnce: 1_000_000, perSource: 1, rate: 10, strangers: 20, timeout: 1000 };
  let gone = 0;
  assert.ok(count.begin("held", wide, 0, () => gone++) !== undefined);
  for (let at = 0; at < 10_000; at++) count.begin(`s${at}`, wide, 0, () => {})?.();
  assert.ok(count.begin("held", wide, 0, () => {}) !== undefined);
  assert.equal(gone, 1);
  const sources: unknown = Reflect.get(count, "sources");
  assert.ok(sources instanceof Map && sources.size <= 4096, `${String(Reflect.get(Object(sources), "size"))}`);
});

test("so many a second from all strangers together, beyond a burst of twice as many, and whoever has proven themselves is none", () => {
  const count = new HandshakeCount();
  const comes = (address: string, now: number): boolean => {
    const end = count.begin(address, limits, now, () => {});
    end?.();
    return end !== undefined && count.mayProve(address, limits, now);
  };
  assert.equal(comes("known", 0), true);
  count.proven("known");
  const strangers = (now: number, of: string): number =>
    Array.from({ length: 100 }, (_, at) => comes(`${of}${at}`, now)).filter(Boolean).length;
  // The first one was a stranger as well.
  assert.equal(strangers(0, "a"), 39);
  assert.equal(comes("another", 0), false);
  assert.equal(comes("known", 0), true);
  assert.equal(strangers(1000, "b"), 20);
  assert.equal(comes("known", 1000), true);
  assert.equal(strangers(60_000, "c"), 40);
});

test("strangers are forgotten before those who have proven themselves", () => {
  const count = new HandshakeCount();
  const wide = { atOnce: 1_000_000, perSource: 1, rate: 10, strangers: 1, timeout: 1000 };
  count.begin("known", wide, 0, () => {})?.();
  count.proven("known");
  for (let at = 0; at < 10_000; at++) count.begin(`s${at}`, wide, 0, () => {})?.();
  while (count.mayProve("stranger", wide, 0));
  assert.equal(count.mayProve("known", wide, 0), true);
});

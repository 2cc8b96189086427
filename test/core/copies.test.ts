import assert from "node:assert/strict";
import { test } from "node:test";
import { Copy, giveBuffer, takeBuffer } from "../../src/core/copies.ts";

const held = (row: readonly Copy[]): number => row.reduce((sum, { buffer }) => sum + buffer.length, 0);
const text = (row: readonly Copy[]): string =>
  row.map(({ buffer, length }) => buffer.toString("latin1", 0, length)).join("");

test("octets that come one by one share buffers, and cost a few times what they are", () => {
  const row: Copy[] = [];
  const source = Buffer.from("0123456789");
  for (let at = 0; at < 100_000; at++) Copy.push(row, source, at % 10, (at % 10) + 1);
  assert.ok(row.length < 20, `${row.length} buffers`);
  assert.ok(held(row) < 200_000, `${held(row)} octets for 100,000`);
  assert.equal(text(row), "0123456789".repeat(10_000));
});

test("copies of any size keep their order, and a buffer that is used again is not in two rows", () => {
  const sizes = [1, 2, 127, 128, 129, 2047, 2048, 2049, 16_383, 16_384, 16_385, 70_000, 3];
  const source = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 251));
  const fill = (from: number): Copy[] => {
    const row: Copy[] = [];
    for (const size of sizes) Copy.push(row, source, from, Math.min(source.length, from + size));
    return row;
  };
  const expected = (from: number): string =>
    sizes.map((size) => source.toString("latin1", from, Math.min(source.length, from + size))).join("");
  const first = fill(0);
  assert.ok(text(first) === expected(0));
  for (const copy of first) copy.free();
  const [second, third] = [fill(1), fill(2)];
  assert.ok(text(second) === expected(1));
  assert.ok(text(third) === expected(2));
});

/** Buffers of a full frame. */
const take = (count: number): Buffer[] => Array.from({ length: count }, () => takeBuffer(16_384));
const giveAll = (buffers: readonly Buffer[]): void => {
  for (const buffer of buffers) giveBuffer(buffer);
};

test("memory is used again while much of it is in use, and let go when it is not", () => {
  const held = take(3000);
  const freed = held.splice(0, 1000);
  giveAll(freed);
  const again = take(1000);
  assert.ok(
    again.every((buffer) => freed.includes(buffer)),
    "what one let go is what the next one gets",
  );
  const all = [...held, ...again];
  giveAll(all);
  const known = new Set(all);
  const later = take(3000);
  const kept = later.filter((buffer) => known.has(buffer)).length;
  giveAll(later);
  assert.equal(kept, 256);
});

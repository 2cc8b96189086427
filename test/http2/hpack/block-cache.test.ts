import assert from "node:assert/strict";
import { test } from "node:test";
import { type HeaderList, HeaderTable } from "../../../src/http/headers.ts";
import { BlockCache } from "../../../src/http2/hpack/block-cache.ts";
import { RenderedBlock } from "../../../src/http2/hpack/rendered-block.ts";

const table = new HeaderTable();
const list = (i: number): HeaderList => table.head([[`x-${i}`, "v"]]).list;
const block = (size: number): RenderedBlock => new RenderedBlock(0, false, Buffer.alloc(size), 0, size, []);

test("a list is known from its second time on", () => {
  const cache = new BlockCache();
  assert.equal(cache.see(list(1)), false);
  assert.equal(cache.see(list(1)), true);
  assert.equal(cache.get(list(1)), undefined);
  const rendered = block(10);
  cache.put(list(1), rendered);
  assert.equal(cache.see(list(1)), true);
  assert.equal(cache.get(list(1)), rendered);
});

test("256 lists are remembered, and one more makes it start anew", () => {
  const cache = new BlockCache();
  for (let i = 0; i < 256; i++) cache.see(list(i));
  assert.deepEqual(cache.stats, { lists: 256, octets: 0 });
  assert.equal(cache.see(list(0)), true);
  cache.see(list(256));
  assert.equal(cache.stats.lists, 0);
  assert.equal(cache.see(list(0)), false);
});

test("64 KiB of blocks are remembered, and one octet more makes it start anew", () => {
  const cache = new BlockCache();
  cache.put(list(1), block(60 * 1024));
  cache.put(list(2), block(4 * 1024));
  assert.deepEqual(cache.stats, { lists: 2, octets: 64 * 1024 });
  cache.put(list(3), block(1));
  assert.deepEqual(cache.stats, { lists: 0, octets: 0 });
});

test("a block that takes the place of another counts alone", () => {
  const cache = new BlockCache();
  for (let i = 0; i < 10; i++) cache.put(list(1), block(20 * 1024));
  assert.deepEqual(cache.stats, { lists: 1, octets: 20 * 1024 });
});

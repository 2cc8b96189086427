import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHeaderTableLimits, HeaderTable } from "../../../src/http/headers.ts";
import { HpackDecoder } from "../../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/http2/hpack/encoder.ts";
import { integer, type PlainField, plain } from "../../support/hpack-peer.ts";

/** An encoder, and a decoder at the other end that checks what arrives. */
class Wire {
  readonly table: HeaderTable;
  readonly encoder: HpackEncoder;
  readonly decoder = new HpackDecoder(new HeaderTable(), {
    maxTableSize: 65_536,
    maxListSize: 1_000_000,
    maxFields: 1000,
  });

  constructor(maxTableSize?: number, table = new HeaderTable()) {
    this.table = table;
    this.encoder = new HpackEncoder(maxTableSize === undefined ? {} : { maxTableSize });
  }

  /** Sends the fields in one block; returns its octets. */
  send(fields: readonly PlainField[]): Buffer {
    const head = this.table.head(fields);
    const bound = this.encoder.bound(head);
    const out = Buffer.alloc(bound + 20, 0xaa);
    const end = this.encoder.encode(head, out, 10);
    assert.ok(end - 10 <= bound, `${end - 10} octets, bound ${bound}`);
    assert.equal(out.toString("latin1", 0, 10) + out.toString("latin1", end), "\xaa".repeat(bound + 20 - (end - 10)));
    const received = this.decoder.decode(out, 10, end);
    assert.deepEqual([...received.entries()], [...head.entries()]);
    return out.subarray(10, end);
  }
}

const call: PlainField[] = [
  [":method", "POST"],
  [":path", "/a.B/C"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

test("a list is spelled out, then inserted, then only referred to", () => {
  const wire = new Wire();
  const name = integer(31, 0x00, 4);
  assert.deepEqual(
    [...wire.send(call)],
    [0x83, 0x04, ...plain("/a.B/C"), ...name, ...plain("application/grpc"), 0x00, ...plain("te"), ...plain("trailers")],
  );
  assert.equal(wire.decoder.tableSize, 0);
  assert.deepEqual(
    [...wire.send(call)],
    [0x83, 0x44, ...plain("/a.B/C"), 0x5f, ...plain("application/grpc"), 0x40, ...plain("te"), ...plain("trailers")],
  );
  assert.equal(wire.decoder.tableSize, 43 + 60 + 42);
  for (let i = 0; i < 3; i++) assert.deepEqual([...wire.send(call)], [0x83, 0xc0, 0xbf, 0xbe]);
});

test("a list that comes once leaves no trace in the table", () => {
  const wire = new Wire();
  for (let i = 0; i < 60; i++) wire.send([...call, ["x-session", `${i}`]]);
  assert.equal(wire.decoder.tableSize, 0);
});

test("indices follow the entries that other lists add", () => {
  const wire = new Wire();
  for (let i = 0; i < 3; i++) wire.send(call);
  const other: PlainField[] = [...call, ["x-other", "v"]];
  for (let i = 0; i < 3; i++) wire.send(other);
  assert.deepEqual([...wire.send(call)], [0x83, 0xc1, 0xc0, 0xbf]);
  assert.deepEqual([...wire.send(other)], [0x83, 0xc1, 0xc0, 0xbf, 0xbe]);
});

test("a slot's name gets an index by its second value, and its values never do", () => {
  const wire = new Wire();
  const send = (value: string): number[] => [...wire.send([["traceparent", value]])];
  assert.deepEqual(send("one"), [0x00, ...plain("traceparent"), ...plain("one")]);
  assert.deepEqual(send("two"), [0x40, ...plain("traceparent"), ...plain("two")]);
  assert.deepEqual(send("three"), [0x0f, 62 - 15, ...plain("three")]);
  assert.deepEqual(send(""), [0x00 + 0x0f, 62 - 15, 0x00]);
  assert.deepEqual(send("x".repeat(20_000)), [0x0f, 62 - 15, ...plain("x".repeat(20_000))]);
});

test("a slot with a name of the static table adds no entry", () => {
  const wire = new Wire();
  for (const value of ["1", "22", "333", "4444"]) {
    assert.deepEqual([...wire.send([["content-length", value]])], [0x0f, 28 - 15, ...plain(value)]);
  }
  assert.equal(wire.decoder.tableSize, 0);
});

test("a value of more than 128 octets is not put into the table for the sake of its slot's name", () => {
  for (const [length, tableSize] of [
    [128, 32 + 7 + 128],
    [129, 0],
  ] as const) {
    const wire = new Wire();
    for (let i = 0; i < 4; i++) wire.send([["baggage", `${i}`.padEnd(length, "x")]]);
    assert.equal(wire.decoder.tableSize, tableSize);
  }
});

test("secrets are never-indexed literals, however often they come, and are in no table", () => {
  const wire = new Wire();
  for (let i = 0; i < 4; i++) {
    assert.deepEqual([...wire.send([["authorization", "Bearer t"]])], [0x1f, 23 - 15, ...plain("Bearer t")]);
    assert.deepEqual(
      [...wire.send([["x-api-key", "k", true]])],
      [0x10, ...plain("x-api-key"), ...plain("k")],
      "marked by the sender",
    );
    assert.deepEqual([...wire.send([["te", "trailers", true]])], [0x10, ...plain("te"), ...plain("trailers")]);
    assert.deepEqual([...wire.send([["x-empty", "", true]])], [0x10, ...plain("x-empty"), 0x00]);
  }
  assert.equal(wire.decoder.tableSize, 0);
});

test("a secret may use the index of a name that is in the table for another field", () => {
  const wire = new Wire();
  for (let i = 0; i < 3; i++) wire.send([["x-api-key", "public"]]);
  assert.deepEqual([...wire.send([["x-api-key", "k", true]])], [0x1f, 62 - 15, ...plain("k")]);
});

test("a list that its table does not keep adds no entry", () => {
  const wire = new Wire(4096, new HeaderTable({ ...defaultHeaderTableLimits, lists: 0 }));
  const head = wire.table.head(call);
  const first = Buffer.alloc(wire.encoder.bound(head));
  const length = wire.encoder.encode(head, first, 0);
  for (let i = 0; i < 4; i++) {
    const again = Buffer.alloc(first.length);
    assert.equal(wire.encoder.encode(head, again, 0), length);
    assert.deepEqual(again, first);
  }
});

test("what no longer fits into the table is spelled out, and smaller fields still go in", () => {
  const wire = new Wire(200);
  const large: PlainField[] = [["x-large", "x".repeat(100)]];
  for (let i = 0; i < 3; i++) wire.send(large);
  assert.equal(wire.decoder.tableSize, 139);
  const other: PlainField[] = [
    ["x-other", "x".repeat(30)],
    ["x-small", "v"],
  ];
  for (let i = 0; i < 3; i++) wire.send(other);
  assert.equal(wire.decoder.tableSize, 179);
  assert.deepEqual([...wire.send(other)], [0x00, ...plain("x-other"), ...plain("x".repeat(30)), 0xbe]);
  assert.deepEqual([...wire.send(large)], [0xbf]);
});

test("a table that has been too small for long starts anew with what is sent then", () => {
  const wire = new Wire(200);
  const before: PlainField[] = [["x-before", "x".repeat(100)]];
  const now: PlainField[] = [["x-now", "y".repeat(100)]];
  for (let i = 0; i < 3; i++) wire.send(before);
  const spelledOut = wire.send(now).length;
  let blocks = 1;
  let octets: Buffer;
  do {
    octets = wire.send(now);
    blocks++;
  } while (octets.length >= spelledOut && blocks < 20_000);
  assert.ok(blocks > 16_384 && blocks < 16_400, `${blocks} blocks`);
  assert.deepEqual([...octets], [0xbe]);
  assert.equal(wire.decoder.tableSize, 32 + 5 + 100);
  assert.ok(wire.send(before).length > 100);
});

test("a slot whose name found no room does not make the table start anew", () => {
  const wire = new Wire(200);
  for (let i = 0; i < 3; i++) wire.send([["x-large", "x".repeat(150)]]);
  for (let i = 0; i < 17_000; i++) wire.send([["traceparent", "00-1"]]);
  assert.deepEqual([...wire.send([["x-large", "x".repeat(150)]])], [0xbe]);
});

test("a table of size 0 is left alone, however much is spelled out", () => {
  const wire = new Wire(0);
  for (let i = 0; i < 17_000; i++) {
    assert.equal(wire.send([["x-name", "v"]])[0], 0x00);
  }
});

test("a smaller table of the peer is signalled once, at the start of the next block", () => {
  const wire = new Wire();
  for (let i = 0; i < 3; i++) wire.send(call);
  wire.encoder.setMaxTableSize(100);
  const block = [...wire.send(call)];
  assert.deepEqual(block.slice(0, 4), [0x20, ...integer(100, 0x20, 5), 0x83]);
  assert.equal(wire.send(call)[0], 0x83);
  assert.ok(wire.decoder.tableSize > 0 && wire.decoder.tableSize <= 100);
});

test("a table that shrinks and grows again between two blocks is emptied first", () => {
  const wire = new Wire();
  for (let i = 0; i < 3; i++) wire.send(call);
  wire.encoder.setMaxTableSize(50);
  wire.encoder.setMaxTableSize(4096);
  assert.deepEqual([...wire.send(call)].slice(0, 5), [0x20, ...integer(4096, 0x20, 5), 0x83]);
  wire.send(call);
  assert.deepEqual([...wire.send(call)], [0x83, 0xc0, 0xbf, 0xbe]);
});

test("no table is one update, and nothing goes in afterwards", () => {
  const wire = new Wire();
  wire.encoder.setMaxTableSize(0);
  assert.deepEqual([...wire.send([[":method", "GET"]])], [0x20, 0x82]);
  for (let i = 0; i < 5; i++) wire.send(call);
  assert.equal(wire.decoder.tableSize, 0);
});

test("a size that is in force already, or more than we use, is not signalled", () => {
  const wire = new Wire();
  wire.encoder.setMaxTableSize(4096);
  assert.deepEqual([...wire.send([[":method", "GET"]])], [0x82]);
  wire.encoder.setMaxTableSize(65_536);
  assert.deepEqual([...wire.send([[":method", "GET"]])], [0x82]);
});

test("a larger table is signalled where we use it, and what is in the table stays", () => {
  const wire = new Wire(8192);
  for (let i = 0; i < 3; i++) wire.send(call);
  wire.encoder.setMaxTableSize(65_536);
  assert.deepEqual([...wire.send(call)], [...integer(8192, 0x20, 5), 0x83, 0xc0, 0xbf, 0xbe]);
  wire.encoder.setMaxTableSize(10_000);
  assert.deepEqual([...wire.send(call)], [0x83, 0xc0, 0xbf, 0xbe]);
  for (let i = 0; i < 300; i++) wire.send([[`x-${i >> 1}`, "v".repeat(30)]]);
  assert.ok(wire.decoder.tableSize > 4096 && wire.decoder.tableSize <= 8192);
});

test("a larger size that is taken back before the next block is not signalled", () => {
  const wire = new Wire(8192);
  wire.encoder.setMaxTableSize(8192);
  wire.encoder.setMaxTableSize(4096);
  assert.deepEqual([...wire.send([[":method", "GET"]])], [0x82]);
  for (let i = 0; i < 300; i++) wire.send([[`x-${i >> 1}`, "v".repeat(30)]]);
  assert.ok(wire.decoder.tableSize <= 4096);
});

test("an empty head is an empty block", () => {
  const wire = new Wire();
  for (let i = 0; i < 3; i++) assert.equal(wire.send([]).length, 0);
});

test("an odd number of lists, more than are remembered, goes round and stays right", () => {
  const wire = new Wire();
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 301; i++) wire.send([...call, ["x-list", `${i % 60}`], [`x-${i % 7}`, `${i % 43}`]]);
  }
});

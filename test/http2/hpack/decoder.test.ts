import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../../src/http/headers.ts";
import { HpackDecoder, type HpackDecoderOptions } from "../../../src/http2/hpack/decoder.ts";
import { huffman, integer, PeerEncoder, type PlainField, plain } from "../../support/hpack-peer.ts";

const options: HpackDecoderOptions = { maxTableSize: 4096, maxListSize: 65_536, maxFields: 100 };

function newDecoder(changes: Partial<HpackDecoderOptions> = {}, table = new HeaderTable()): HpackDecoder {
  return new HpackDecoder(table, { ...options, ...changes });
}

/** Decodes a block that has other octets before and after it. */
function decode(decoder: HpackDecoder, octets: Iterable<number>, after = 0x82): PlainField[] {
  const block = Buffer.from([0xff, 0xff, ...octets, after, after, after]);
  const head = decoder.decode(block, 2, block.length - 3);
  return Array.from(head.entries(), ([name, value, secret]) => (secret ? [name, value, true] : [name, value]));
}

function refuses(octets: Iterable<number>, message: string, decoder = newDecoder()): void {
  assert.throws(() => decode(decoder, octets), { name: "ConnectionError", code: 0x9, message: `hpack: ${message}` });
}

const sizeUpdate = (size: number): number[] => integer(size, 0x20, 5);
const incremental = (name: string, value: string): number[] => [0x40, ...plain(name), ...plain(value)];

test("an empty block is an empty head", () => {
  assert.deepEqual(decode(newDecoder(), []), []);
});

test("names and values are those of the octets, whatever they are", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  const block = [0x00, ...plain("name"), ...plain(all), 0x00, ...huffman("other"), ...huffman(all), 0x00, 0x00, 0x00];
  assert.deepEqual(decode(newDecoder(), block), [
    ["name", all],
    ["other", all],
    ["", ""],
  ]);
});

test("every static index gives its entry, as a field and as a name", () => {
  for (let index = 1; index <= 61; index++) {
    const [field] = decode(newDecoder(), [0x80 | index]);
    const [named] = decode(newDecoder(), [...integer(index, 0x00, 4), ...plain("value")]);
    assert.ok(field !== undefined && named !== undefined);
    assert.equal(named[0], field[0]);
    assert.equal(named[1], "value");
  }
});

test("index 0 is refused", () => {
  refuses([0x80], "no table entry has the index 0");
});

test("an index beyond the tables is refused, in a field and in each kind of literal", () => {
  refuses([0x80 | 62], "no table entry has the index 62");
  refuses([0x7e, ...plain("v")], "no table entry has the index 62");
  refuses([0x0f, 62 - 15, ...plain("v")], "no table entry has the index 62");
  refuses([0x1f, 62 - 15, ...plain("v")], "no table entry has the index 62");
  refuses([...incremental("a", "b"), 0x80 | 63], "no table entry has the index 63");
  refuses([0xff, 0x80, 0xff, 0xff, 0xff, 0x07], "no table entry has the index 2147483647");
});

test("an integer over 31 bits is refused", () => {
  refuses([0xff, 0x81, 0xff, 0xff, 0xff, 0x07], "integer too large");
  refuses([0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], "integer too large");
  refuses([0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f], "integer too large");
});

test("an integer of more than five octets after the first is refused, even where they are zeros", () => {
  assert.deepEqual(decode(newDecoder(), [0x0f, 0x80, 0x80, 0x80, 0x80, 0x00, ...plain("v")]), [
    ["accept-charset", "v"],
  ]);
  refuses([0x0f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, ...plain("v")], "integer too large");
  refuses([0xff, ...Array.from({ length: 1000 }, () => 0x80), 0x00], "integer too large");
});

test("a string that is longer than the block is refused", () => {
  refuses([0x00, 0x01], "string runs past the end of the header block");
  refuses([0x00, ...plain("name"), 0x05, 0x61, 0x62, 0x63, 0x64], "string runs past the end of the header block");
  refuses([0x00, ...plain("name"), 0x82, 0xff], "string runs past the end of the header block");
  refuses([0x00, 0x7f, 0x80, 0xff, 0xff, 0xff, 0x07], "string runs past the end of the header block");
});

test("bad huffman code is refused in names and values, read or passed over", () => {
  refuses([0x00, 0x81, 0x00, ...plain("v")], "invalid huffman code");
  refuses([0x00, ...plain("n"), 0x84, 0xff, 0xff, 0xff, 0xff], "invalid huffman code");
  const tooLarge = (): HpackDecoder => newDecoder({ maxFields: 0 });
  refuses([0x82, 0x00, 0x81, 0x00, ...plain("v")], "invalid huffman code", tooLarge());
  refuses([0x82, 0x00, ...plain("n"), 0x81, 0x00], "invalid huffman code", tooLarge());
});

test("a block cut off anywhere inside a field is refused", () => {
  const fields = [
    [0x00, ...plain("name"), ...plain("value")],
    [0x10, ...huffman("password"), ...huffman("hunter2")],
    [0x40, ...huffman("custom-name"), ...plain("x".repeat(300))],
    [0x7f, 0x00, ...plain("value")],
    [0x0f, 0x2f, ...huffman("value")],
  ];
  const block: number[] = [...sizeUpdate(4096)];
  const ends = new Set([0, block.length]);
  // One entry and the update are in the table before each, so that indices up to 63 are good.
  const prefix = [...incremental("one", "1"), ...incremental("two", "2")];
  block.push(...prefix);
  ends.add(block.length - prefix.length / 2);
  for (const field of fields) {
    ends.add(block.length);
    block.push(...field);
  }
  ends.add(block.length);
  for (let length = 0; length <= block.length; length++) {
    const cut = block.slice(0, length);
    for (const after of [0x00, 0x82]) {
      const read = (): PlainField[] => decode(newDecoder(), cut, after);
      if (ends.has(length)) assert.doesNotThrow(read, `cut to ${length}`);
      else assert.throws(read, { name: "ConnectionError", code: 0x9 }, `cut to ${length}`);
    }
  }
});

test("a table size update comes before the first field only", () => {
  const decoder = newDecoder();
  assert.deepEqual(decode(decoder, [...sizeUpdate(0), ...sizeUpdate(4096), 0x82]), [[":method", "GET"]]);
  refuses([0x82, ...sizeUpdate(100)], "table size update after a field", decoder);
  refuses([...incremental("a", "b"), ...sizeUpdate(0)], "table size update after a field");
});

test("a table size update over the announced size is refused", () => {
  assert.deepEqual(decode(newDecoder(), sizeUpdate(4096)), []);
  refuses(sizeUpdate(4097), "table size update to 4097, over the limit of 4096 octets");
  const large = newDecoder({ maxTableSize: 10_000 });
  assert.deepEqual(decode(large, sizeUpdate(10_000)), []);
  refuses(sizeUpdate(10_001), "table size update to 10001, over the limit of 10000 octets", large);
});

test("an update evicts at once, also where a second one restores the size", () => {
  const decoder = newDecoder();
  decode(decoder, [...incremental("a", "1"), ...incremental("b", "2")]);
  assert.equal(decoder.tableSize, 68);
  assert.deepEqual(decode(decoder, [...sizeUpdate(34), ...sizeUpdate(4096), 0xbe]), [["b", "2"]]);
  assert.equal(decoder.tableSize, 34);
  refuses([0xbf], "no table entry has the index 63", decoder);
});

test("a table larger than the default is in force only once the peer says so", () => {
  const decoder = newDecoder({ maxTableSize: 8192 });
  const fill = (): void => {
    for (let i = 0; i < 100; i++) decode(decoder, incremental(`name-${i}`, "x".repeat(30)));
  };
  fill();
  assert.ok(decoder.tableSize <= 4096);
  decode(decoder, sizeUpdate(8192));
  fill();
  assert.ok(decoder.tableSize > 4096);
});

test("a size below the default binds the peer once it has acknowledged it", () => {
  const decoder = newDecoder({ maxTableSize: 100 });
  // Until then the peer cannot know.
  decode(decoder, sizeUpdate(4096));
  decode(decoder, [...incremental("a", "x".repeat(200)), 0xbe]);
  assert.equal(decoder.tableSize, 233);
  decoder.settingsAcknowledged();
  refuses([0x82], "table size update missing after our limit was lowered", decoder);
  refuses(sizeUpdate(101), "table size update to 101, over the limit of 100 octets", decoder);
  assert.deepEqual(decode(decoder, [...sizeUpdate(100), 0x82]), [[":method", "GET"]]);
  assert.equal(decoder.tableSize, 0);
  assert.deepEqual(decode(decoder, [0x82]), [[":method", "GET"]]);
});

test("a peer that uses less than a lowered size has nothing to signal", () => {
  const decoder = newDecoder({ maxTableSize: 100 });
  decode(decoder, sizeUpdate(64));
  decoder.settingsAcknowledged();
  assert.deepEqual(decode(decoder, [0x82]), [[":method", "GET"]]);
});

test("never-indexed fields and names that are secret by nature are secrets, and in no list", () => {
  const decoder = newDecoder();
  const block = [0x10, ...plain("x-api-key"), ...plain("k"), ...integer(23, 0x40, 6), ...plain("Bearer t"), 0xbe];
  const buffer = Buffer.from(block);
  const head = decoder.decode(buffer, 0, buffer.length);
  assert.deepEqual(
    [...head.entries()],
    [
      ["x-api-key", "k", true],
      ["authorization", "Bearer t", true],
      ["authorization", "Bearer t", true],
    ],
  );
  assert.deepEqual(head.values, ["k", "Bearer t", "Bearer t"]);
  for (const field of head.list.fields) assert.equal(field.value, "");
});

test("equal blocks give the same list, through the table, through literals, and on another connection", () => {
  const table = new HeaderTable();
  const fields: PlainField[] = [
    [":method", "POST"],
    [":path", "/a.B/C"],
    ["grpc-timeout", "1S"],
    ["x-custom", "v"],
  ];
  const decoder = newDecoder({}, table);
  const peer = new PeerEncoder();
  const first = peer.encode(fields);
  const second = peer.encode(fields);
  assert.ok(second.length < first.length);
  const literals = new PeerEncoder(4096, () => "none").encode(fields);
  const heads = [
    decoder.decode(first, 0, first.length),
    decoder.decode(second, 0, second.length),
    newDecoder({}, table).decode(literals, 0, literals.length),
  ];
  for (const head of heads) {
    assert.equal(head.list, heads[0]?.list);
    assert.deepEqual(head.values, ["1S"]);
  }
});

test("a list over its size is marked, and the table stays in step", () => {
  const fields: PlainField[] = [
    ["a", "1"],
    ["b", "2"],
    ["c", "3"],
  ];
  const peer = new PeerEncoder();
  const exact = newDecoder({ maxListSize: 3 * 34 });
  const block = peer.encode(fields);
  assert.deepEqual(decode(exact, block), fields);
  assert.equal(exact.tooLarge, false);
  const decoder = newDecoder({ maxListSize: 3 * 34 - 1 });
  assert.deepEqual(decode(decoder, block), fields.slice(0, 2));
  assert.equal(decoder.tooLarge, true);
  assert.equal(decoder.tableSize, 3 * 34);
  // The third field is in the table all the same, and the next block starts afresh.
  assert.deepEqual(decode(decoder, peer.encode(fields.slice(2))), [["c", "3"]]);
  assert.equal(decoder.tooLarge, false);
});

test("a list of too many fields is marked", () => {
  const decoder = newDecoder({ maxFields: 3 });
  assert.equal(decode(decoder, [0x82, 0x82, 0x82]).length, 3);
  assert.equal(decoder.tooLarge, false);
  assert.equal(decode(decoder, [0x82, 0x82, 0x82, 0x82, 0x82]).length, 3);
  assert.equal(decoder.tooLarge, true);
});

test("what follows once a list is too large is left out, however small it is", () => {
  const decoder = newDecoder({ maxListSize: 100 });
  assert.deepEqual(decode(decoder, [0x82, 0x00, ...plain("n"), ...plain("x".repeat(100)), 0x82]), [[":method", "GET"]]);
  assert.equal(decoder.tooLarge, true);
});

test("a bomb of references to one large entry costs no memory and leaves the table in step", () => {
  const table = new HeaderTable();
  const decoder = newDecoder({}, table);
  const value = "x".repeat(4000);
  decode(decoder, incremental("bomb", value));
  const bomb = Buffer.alloc(1_000_000, 0xbe);
  const head = decoder.decode(bomb, 0, bomb.length);
  assert.equal(decoder.tooLarge, true);
  assert.equal(head.values.length, 16);
  assert.deepEqual(decode(decoder, [0xbe]), [["bomb", value]]);
  const names = table.stats.names;
  const noise = Array.from({ length: 5000 }, (_, i) => [0x00, ...plain(`noise-${i}`), ...plain("v")]).flat();
  decode(decoder, [...bomb.subarray(0, 20), ...noise]);
  assert.equal(table.stats.names, names, "names behind the limit are not kept");
});

test("old connections and new ones find the same lists after the header table has started anew", () => {
  const table = new HeaderTable({
    names: 60,
    valuesPerName: 4,
    valuesPerTarget: 4,
    valueSize: 20,
    lists: 20,
    missesUntilReset: 50,
  });
  const fields: PlainField[] = [
    [":path", "/a.B/C"],
    ["x-known", "v"],
  ];
  const peer = new PeerEncoder();
  const old = newDecoder({}, table);
  decode(old, peer.encode(fields));
  const before = table.root;
  for (let i = 0; table.root === before; i++) decode(old, [0x00, ...plain(`noise-${i}`), ...plain("v")]);
  const indexed = peer.encode(fields);
  assert.equal(indexed.length, 2);
  const late = new PeerEncoder().encode(fields);
  const head = old.decode(indexed, 0, 2);
  assert.equal(head.list, newDecoder({}, table).decode(late, 0, late.length).list);
  assert.equal(head.list.kept, true);
  assert.deepEqual(
    Array.from(head.entries(), ([name, value]) => [name, value]),
    fields,
  );
});

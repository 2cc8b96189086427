import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable, type HeaderTableLimits } from "../../../src/http/headers.ts";
import { HpackDecoder } from "../../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/http2/hpack/encoder.ts";
import { type Indexing, PeerEncoder, type PlainField } from "../../support/hpack-peer.ts";
import { seededInteger } from "../../support/random-integer.ts";

/** So small that every bound is met all the time. */
const tight: HeaderTableLimits = {
  names: 70,
  valuesPerName: 3,
  valuesPerTarget: 5,
  valueSize: 40,
  lists: 200,
  missesUntilReset: 500,
};

const limits = { maxTableSize: 16_384, maxListSize: 10_000_000, maxFields: 1000 };

type Random = (below: number) => number;

function octets(random: Random, length: number): string {
  return Array.from({ length }, () => String.fromCharCode(random(256))).join("");
}

/** Fields as wild as the format allows: repeated, varying, secret, empty, long, of any octets. */
function someField(random: Random): PlainField {
  const regular: readonly string[] = [
    ":method",
    ":path",
    ":status",
    ":authority",
    "te",
    "cookie",
    "grpc-timeout",
    "traceparent",
    "x-a",
    "x-b",
    "content-length",
  ];
  const name = random(15) === 0 ? octets(random, random(40)) : (regular[random(regular.length)] ?? "");
  const kind = random(40);
  if (kind === 0) return [name, ""];
  if (kind === 1) return [name, octets(random, 17_000 + random(100))];
  if (kind < 6) return [name, octets(random, random(300))];
  return random(8) === 0 ? [name, `s${random(4)}`, true] : [name, `value-${random(6)}`];
}

function someLists(random: Random): PlainField[][] {
  return Array.from({ length: 12 }, () => Array.from({ length: random(12) }, () => someField(random)));
}

function expected(fields: readonly PlainField[]): PlainField[] {
  const secret = new Set(["cookie"]);
  return fields.map(([name, value, marked]) => [name, value, marked === true || secret.has(name)]);
}

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`what our encoder writes our decoder reads, seed ${seed}`, () => {
    const random = seededInteger(seed);
    const sender = seed % 2 === 0 ? new HeaderTable() : new HeaderTable(tight);
    const receiver = seed % 3 === 0 ? new HeaderTable() : new HeaderTable(tight);
    const encoder = new HpackEncoder({ maxTableSize: [0, 100, 500, 4096, 16_384][random(5)] ?? 0 });
    const decoder = new HpackDecoder(receiver, limits);
    const lists = someLists(random);
    let allowed = 4096;
    for (let block = 0; block < 800; block++) {
      for (let change = random(30) === 0 ? 1 + random(3) : 0; change > 0; change--) {
        allowed = random(3) === 0 ? 0 : random(limits.maxTableSize);
        encoder.setMaxTableSize(allowed);
      }
      if (random(25) === 0) lists[random(lists.length)] = Array.from({ length: random(12) }, () => someField(random));
      const fields = lists[random(lists.length)] ?? [];
      const head = sender.head(fields);
      const bound = encoder.bound(head);
      const out = Buffer.alloc(bound);
      const end = encoder.encode(head, out, 0);
      assert.ok(end <= bound);
      assert.deepEqual([...decoder.decode(out, 0, end).entries()], expected(fields));
      assert.ok(decoder.tableSize <= allowed);
    }
  });

  test(`what a peer's encoder writes our decoder reads, seed ${seed}`, () => {
    const random = seededInteger(seed + 1000);
    const decoder = new HpackDecoder(seed % 2 === 0 ? new HeaderTable() : new HeaderTable(tight), limits);
    const policy = (field: PlainField): Indexing => {
      if (field[2] === true) return "never";
      return random(4) === 0 ? "none" : "incremental";
    };
    const peer = new PeerEncoder(4096, policy);
    const lists = someLists(random);
    for (let block = 0; block < 300; block++) {
      for (let change = random(20) === 0 ? 1 + random(2) : 0; change > 0; change--) {
        peer.resize(random(3) === 0 ? random(200) : random(limits.maxTableSize));
      }
      if (random(5) === 0) lists[random(lists.length)] = Array.from({ length: random(12) }, () => someField(random));
      const fields = lists[random(lists.length)] ?? [];
      const octets = peer.encode(fields);
      const head = decoder.decode(octets, 0, octets.length);
      assert.deepEqual([...head.entries()], expected(fields));
      assert.equal(decoder.tableSize, peer.size);
    }
  });
}

test("random octets are decoded or refused as a compression error, and never otherwise", () => {
  const random = seededInteger(99);
  const table = new HeaderTable();
  let decoded = 0;
  for (let round = 0; round < 20_000; round++) {
    const decoder = new HpackDecoder(table, limits);
    const block = Buffer.from(octets(random, random(30)), "latin1");
    try {
      decoder.decode(block, 0, block.length);
      decoded++;
    } catch (error) {
      assert.ok(error instanceof Error && "code" in error && error.code === 0x9);
    }
  }
  assert.ok(decoded > 500 && decoded < 19_000);
});

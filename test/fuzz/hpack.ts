import assert from "node:assert/strict";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import { ConnectionError, ErrorCode } from "../../src/http2/errors.ts";
import { HpackDecoder } from "../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack/encoder.ts";
import { huffman, integer, PeerEncoder, plain } from "../support/hpack-peer.ts";
import { RawHpackDecoder } from "../support/raw-hpack.ts";
import { mutateOctets, someBlock } from "./mutate.ts";
import { pick, type Random, type Target } from "./target.ts";

const MAX_LIST = 500;
const MAX_FIELDS = 40;
const TABLES = [4096, 0, 100, 65_536];

/** Blocks of one connection, and the size of table that we announced; `acknowledged`: the block before which the peer says so. */
interface Script {
  readonly table: number;
  readonly acknowledged: number;
  readonly blocks: Buffer[];
}

/** An octet for the table's size, one for the acknowledgement, and then blocks with two octets of length each. */
export function readScript(input: Buffer): Script {
  const table = TABLES[(input[0] ?? 0) % TABLES.length] ?? 0;
  const blocks: Buffer[] = [];
  for (let at = 2; at < input.length; ) {
    const length = (input[at] ?? 0) * 256 + (input[at + 1] ?? 0);
    blocks.push(input.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return { table, acknowledged: (input[1] ?? 0) % 8, blocks };
}

function writeScript(first: number, second: number, blocks: readonly Uint8Array[]): Buffer {
  const parts = blocks.flatMap((block) => [Buffer.of(block.length >> 8, block.length & 0xff), block]);
  return Buffer.concat([Buffer.of(first, second), ...parts]);
}

/**
 * HPACK: our decoder and a plain one that is not related to it read the same or refuse the same, with tables of the same size; a
 * list within its limits is the whole list; and what was read can be written and is read again.
 */
export const hpack: Target = {
  name: "hpack",
  seeds() {
    const encoder = new PeerEncoder();
    const blocks = ["a", "b", "a"].map((value) =>
      encoder.encode([
        [":method", "GET"],
        ["x-name", value],
        ["x-secret", value, true],
      ]),
    );
    const updates = Buffer.from([...integer(0, 0x20, 5), ...integer(100, 0x20, 5), 0x82]);
    const literals = Buffer.from([
      0x40,
      ...huffman("x-a"),
      ...huffman("abc"),
      0x10,
      ...plain("x"),
      ...plain("y"),
      0xbe,
    ]);
    const long = encoder.encode([["x-long", "v".repeat(MAX_LIST)]]);
    return [
      writeScript(0, 0, blocks),
      writeScript(2, 1, [literals, updates]),
      writeScript(1, 1, [Buffer.from([...integer(0, 0x20, 5), 0x84])]),
      writeScript(3, 0, [literals, long, Buffer.of(0xbf, 0xbe)]),
    ];
  },
  mutate,
  run(input) {
    const { table, acknowledged, blocks } = readScript(input);
    const ours = new HpackDecoder(new HeaderTable(), {
      maxTableSize: table,
      maxListSize: MAX_LIST,
      maxFields: MAX_FIELDS,
    });
    const theirs = new RawHpackDecoder(Math.max(4096, table));
    const trip = new RoundTrip();
    const lines: string[] = [];
    for (const [at, block] of blocks.entries()) {
      if (at === acknowledged) {
        ours.settingsAcknowledged();
        theirs.lower(table);
      }
      const read = attempt(() => ours.decode(block, 0, block.length));
      const wanted = attempt(() => theirs.decode(block));
      if ("fault" in read || "fault" in wanted) {
        assert.ok("fault" in read && "fault" in wanted, `one refuses: ${faultOf(read)}, ${faultOf(wanted)}`);
        assert.ok(
          read.fault instanceof ConnectionError && read.fault.code === ErrorCode.COMPRESSION_ERROR,
          faultOf(read),
        );
        return [...lines, read.fault.message.replace(/[0-9]+/g, "0")];
      }
      const head = read.value;
      const fields = [...head.entries()].map(([name, value]) => [name, value]);
      const all = wanted.value.map(({ name, value }) => [name, value]);
      const size = all.reduce((sum, [name = "", value = ""]) => sum + name.length + value.length + 32, 0);
      const tooLarge = size > MAX_LIST || all.length > MAX_FIELDS;
      assert.equal(ours.tooLarge, tooLarge, `${size} octets, ${all.length} fields`);
      assert.ok(head.size <= MAX_LIST && fields.length <= MAX_FIELDS, "what is kept of a list is within its limits");
      if (!tooLarge) assert.deepEqual(fields, all);
      assert.equal(ours.tableSize, theirs.size, "both tables have the same size");
      assert.ok(ours.tableSize <= Math.max(4096, table));
      for (const { form } of wanted.value) lines.push(form);
      lines.push(
        `${tooLarge ? "too large" : "read"} ${Math.min(3, all.length)} ${Math.ceil(Math.log2(theirs.size + 1))}`,
      );
      if (!tooLarge) trip.make(wanted.value.map(({ name, value, form }) => [name, value, form === "never"]));
    }
    return lines;
  },
};

type Attempt<T> = { readonly value: T } | { readonly fault: unknown };

function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { value: read() };
  } catch (fault) {
    return { fault };
  }
}

function faultOf(attempted: Attempt<unknown>): string {
  return "fault" in attempted ? String(attempted.fault) : "no fault";
}

/** What our encoder writes, both decoders read as it was. */
class RoundTrip {
  private readonly table = new HeaderTable();
  private readonly encoder = new HpackEncoder();
  private readonly ours = new HpackDecoder(this.table, {
    maxTableSize: 4096,
    maxListSize: MAX_LIST,
    maxFields: MAX_FIELDS,
  });
  private readonly theirs = new RawHpackDecoder(4096);

  private made = 0;

  make(fields: readonly (readonly [name: string, value: string, secret: boolean])[]): void {
    const head = this.table.head(fields);
    // The first time a list is spelled out, the second time it is inserted, and then it is copied.
    for (let time = 0; time < 3; time++) this.once(head, fields);
    // The table is smaller for a while.
    this.encoder.setMaxTableSize([60, 0, 200, 4096][++this.made % 4] ?? 4096);
  }

  private once(head: Head, fields: readonly (readonly [name: string, value: string, secret: boolean])[]): void {
    const block = Buffer.alloc(this.encoder.bound(head));
    const end = this.encoder.encode(head, block, 0);
    const pairs = fields.map(([name, value]) => [name, value]);
    assert.deepEqual(
      this.theirs.decode(block.subarray(0, end)).map(({ name, value }) => [name, value]),
      pairs,
    );
    const again = [...this.ours.decode(block, 0, end).entries()];
    assert.deepEqual(
      again.map(([name, value]) => [name, value]),
      pairs,
    );
    for (const [at, [name, , secret]] of fields.entries())
      if (secret) assert.equal(again[at]?.[2], true, `${name} is a secret still`);
  }
}

function mutate(input: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  if (random(3) === 0) return mutateOctets(input, random, others);
  const { blocks } = readScript(input);
  for (let more = 1 + random(3); more > 0; more--) {
    const at = random(blocks.length + 1);
    const block = blocks[at] ?? someBlock(random);
    switch (random(6)) {
      case 0:
        blocks.splice(at, 1);
        break;
      case 1:
        blocks.splice(at, 0, block);
        break;
      case 2:
        blocks.splice(at, 0, someBlock(random));
        break;
      case 3:
        blocks[at] = Buffer.concat([block, someField(random)]);
        break;
      case 4:
        blocks[at] = Buffer.concat([someField(random), block]);
        break;
      default:
        blocks[at] = mutateOctets(block, random, others);
    }
  }
  const kept = blocks.slice(0, 12);
  return writeScript(
    random(8) === 0 ? random(256) : (input[0] ?? 0),
    random(8) === 0 ? random(256) : (input[1] ?? 0),
    kept,
  );
}

/** One representation of RFC 7541 §6, of entries that may be there or not. */
function someField(random: Random): Buffer {
  const text = (): number[] => {
    const letters = pick(random, ["", "x", "x-name", "v".repeat(random(120)), "\xff\x00", "te"]);
    return random(2) === 0 ? huffman(letters) : plain(letters);
  };
  const index = pick(random, [0, 1, 2, 8, 15, 61, 62, 63, 64, 70, 200]);
  switch (random(5)) {
    case 0:
      return Buffer.from(integer(index, 0x80, 7));
    case 1:
      return Buffer.from([...integer(index, 0x40, 6), ...(index === 0 ? text() : []), ...text()]);
    case 2:
      return Buffer.from([...integer(index, 0x10, 4), ...(index === 0 ? text() : []), ...text()]);
    case 3:
      return Buffer.from([...integer(index, 0, 4), ...(index === 0 ? text() : []), ...text()]);
    default:
      return Buffer.from(integer(pick(random, [0, 31, 62, 100, 4096, 4097, 65_536]), 0x20, 5));
  }
}

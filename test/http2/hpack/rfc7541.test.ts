import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../../src/http/headers.ts";
import { BlockReader } from "../../../src/http2/hpack/block-reader.ts";
import { HpackDecoder } from "../../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/http2/hpack/encoder.ts";
import { writeInteger } from "../../../src/http2/hpack/wire.ts";

// The examples of RFC 7541 appendix C, each by its section.

const limits = { maxTableSize: 4096, maxListSize: 65_536, maxFields: 100 };

interface Step {
  readonly section: string;
  readonly block: string;
  /** Lines of "name: value". */
  readonly fields: string;
  /** Octets in the dynamic table afterwards. */
  readonly tableSize: number;
}

function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ""), "hex");
}

function pairs(lines: string): [string, string][] {
  return lines
    .trim()
    .split("\n")
    .map((line) => {
      const colon = line.indexOf(": ", line.trimStart().startsWith(":") ? line.indexOf(":") + 1 : 0);
      return [line.slice(0, colon).trim(), line.slice(colon + 2)];
    });
}

const integers: [section: string, value: number, mask: number, hex: string][] = [
  ["C.1.1", 10, 0x1f, "0a"],
  ["C.1.2", 1337, 0x1f, "1f9a0a"],
  ["C.1.3", 42, 0xff, "2a"],
];

for (const [section, value, mask, hex] of integers) {
  test(`${section}: the integer ${value} with the prefix mask ${mask} is read and written`, () => {
    const out = Buffer.alloc(8);
    const end = writeInteger(value, 0, mask, out, 0);
    assert.equal(out.toString("hex", 0, end), hex);
    const reader = new BlockReader();
    reader.open(out, 0, end);
    assert.equal(reader.integer(reader.octet(), mask), value);
    assert.equal(reader.at, end);
  });
}

const requests = [
  `:method: GET
   :scheme: http
   :path: /
   :authority: www.example.com`,
  `:method: GET
   :scheme: http
   :path: /
   :authority: www.example.com
   cache-control: no-cache`,
  `:method: GET
   :scheme: https
   :path: /index.html
   :authority: www.example.com
   custom-key: custom-value`,
] as const;

const responses = [
  `:status: 302
   cache-control: private
   date: Mon, 21 Oct 2013 20:13:21 GMT
   location: https://www.example.com`,
  `:status: 307
   cache-control: private
   date: Mon, 21 Oct 2013 20:13:21 GMT
   location: https://www.example.com`,
  `:status: 200
   cache-control: private
   date: Mon, 21 Oct 2013 20:13:22 GMT
   location: https://www.example.com
   content-encoding: gzip
   set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1`,
] as const;

const single = (section: string, block: string, fields: string, tableSize: number): Step[] => [
  { section, block, fields, tableSize },
];

/** Each list of steps is one connection. */
const connections: [tableSize: number, steps: Step[]][] = [
  [
    4096,
    single(
      "C.2.1",
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      "custom-key: custom-header",
      55,
    ),
  ],
  [4096, single("C.2.2", "040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path", 0)],
  [4096, single("C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret", 0)],
  [4096, single("C.2.4", "82", ":method: GET", 0)],
  [
    4096,
    [
      {
        section: "C.3.1",
        block: "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        fields: requests[0],
        tableSize: 57,
      },
      { section: "C.3.2", block: "8286 84be 5808 6e6f 2d63 6163 6865", fields: requests[1], tableSize: 110 },
      {
        section: "C.3.3",
        block: "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        fields: requests[2],
        tableSize: 164,
      },
    ],
  ],
  [
    4096,
    [
      { section: "C.4.1", block: "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", fields: requests[0], tableSize: 57 },
      { section: "C.4.2", block: "8286 84be 5886 a8eb 1064 9cbf", fields: requests[1], tableSize: 110 },
      {
        section: "C.4.3",
        block: "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        fields: requests[2],
        tableSize: 164,
      },
    ],
  ],
  [
    256,
    [
      {
        section: "C.5.1",
        block: `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
          474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        fields: responses[0],
        tableSize: 222,
      },
      { section: "C.5.2", block: "4803 3330 37c1 c0bf", fields: responses[1], tableSize: 222 },
      {
        section: "C.5.3",
        block: `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
          666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
          3630 303b 2076 6572 7369 6f6e 3d31`,
        fields: responses[2],
        tableSize: 215,
      },
    ],
  ],
  [
    256,
    [
      {
        section: "C.6.1",
        block: `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
          63c7 8f0b 97c8 e9ae 82ae 43d3`,
        fields: responses[0],
        tableSize: 222,
      },
      { section: "C.6.2", block: "4883 640e ffc1 c0bf", fields: responses[1], tableSize: 222 },
      {
        section: "C.6.3",
        block: `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
          b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
        fields: responses[2],
        tableSize: 215,
      },
    ],
  ],
];

for (const [tableSize, steps] of connections) {
  const decoder = new HpackDecoder(new HeaderTable(), limits);
  if (tableSize === 256) decoder.decode(bytes("3fe101"), 0, 3);
  for (const step of steps) {
    test(`${step.section}: the block gives the fields and the table of the example`, () => {
      const block = bytes(step.block);
      const head = decoder.decode(block, 0, block.length);
      const fields = Array.from(head.entries(), ([name, value]) => [name, value]);
      assert.deepEqual(fields, pairs(step.fields));
      assert.equal(decoder.tableSize, step.tableSize);
    });
  }
}

test("C.2.3: a never-indexed literal is a secret", () => {
  const block = bytes("1008 7061 7373 776f 7264 0673 6563 7265 74");
  const head = new HpackDecoder(new HeaderTable(), limits).decode(block, 0, block.length);
  assert.deepEqual([...head.entries()], [["password", "secret", true]]);
  assert.deepEqual(head.values, ["secret"]);
});

test("C.3 and C.5: what the examples say arrives when our encoder says it, three times over", () => {
  for (const lists of [requests, responses]) {
    const table = new HeaderTable();
    const encoder = new HpackEncoder({ maxTableSize: 256 });
    const decoder = new HpackDecoder(new HeaderTable(), limits);
    const out = Buffer.alloc(4096);
    for (const lines of [...lists, ...lists, ...lists]) {
      const end = encoder.encode(table.head(pairs(lines)), out, 0);
      const head = decoder.decode(out, 0, end);
      const fields = Array.from(head.entries(), ([name, value]) => [name, value]);
      assert.deepEqual(fields, pairs(lines));
    }
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHuffman } from "../../../src/http2/hpack/huffman.ts";
import { EOS, HUFFMAN_CODE } from "../../../src/http2/hpack/huffman-code.ts";
import { huffmanCode } from "../../support/hpack-peer.ts";
import { seededInteger } from "../../support/random-integer.ts";

const invalid = { name: "ConnectionError", code: 0x9, message: "hpack: invalid huffman code" };

function decode(octets: readonly number[]): string {
  return decodeHuffman(Buffer.from(octets), 0, octets.length);
}

/** Octets of a string of bits. */
function bits(text: string): number[] {
  const packed = text.replaceAll(" ", "");
  assert.equal(packed.length % 8, 0);
  return Array.from({ length: packed.length / 8 }, (_, i) => Number.parseInt(packed.slice(i * 8, i * 8 + 8), 2));
}

test("the codes are those of RFC 7541 appendix B", () => {
  const codes = new Map(
    HUFFMAN_CODE.map(({ symbol, code, length }) => [symbol, code.toString(2).padStart(length, "0")]),
  );
  assert.equal(codes.size, 257);
  // The first and the last code of most lengths, as the appendix prints them.
  const printed: [symbol: number, code: number, length: number][] = [
    [48, 0x0, 5],
    [116, 0x9, 5],
    [32, 0x14, 6],
    [117, 0x2d, 6],
    [58, 0x5c, 7],
    [122, 0x7b, 7],
    [38, 0xf8, 8],
    [90, 0xfd, 8],
    [33, 0x3f8, 10],
    [63, 0x3fc, 10],
    [39, 0x7fa, 11],
    [124, 0x7fc, 11],
    [35, 0xffa, 12],
    [62, 0xffb, 12],
    [0, 0x1ff8, 13],
    [126, 0x1ffd, 13],
    [94, 0x3ffc, 14],
    [125, 0x3ffd, 14],
    [60, 0x7ffc, 15],
    [123, 0x7ffe, 15],
    [92, 0x7fff0, 19],
    [208, 0x7fff2, 19],
    [128, 0xfffe6, 20],
    [226, 0xfffed, 20],
    [153, 0x1fffdc, 21],
    [230, 0x1fffe8, 21],
    [129, 0x3fffd2, 22],
    [233, 0x3fffeb, 22],
    [1, 0x7fffd8, 23],
    [239, 0x7ffff4, 23],
    [9, 0xffffea, 24],
    [237, 0xfffff5, 24],
    [199, 0x1ffffec, 25],
    [235, 0x1ffffef, 25],
    [192, 0x3ffffe0, 26],
    [255, 0x3ffffee, 26],
    [203, 0x7ffffde, 27],
    [254, 0x7fffff0, 27],
    [2, 0xfffffe2, 28],
    [249, 0xffffffe, 28],
    [10, 0x3ffffffc, 30],
    [22, 0x3ffffffe, 30],
    [EOS, 0x3fffffff, 30],
  ];
  for (const [symbol, code, length] of printed) {
    assert.equal(codes.get(symbol), code.toString(2).padStart(length, "0"), `symbol ${symbol}`);
  }
});

test("every octet, and every pair of octets, is decoded", () => {
  for (let first = 0; first < 256; first++) {
    const one = String.fromCharCode(first);
    assert.equal(decode(huffmanCode(one)), one);
    for (let second = 0; second < 256; second++) {
      const two = one + String.fromCharCode(second);
      assert.equal(decode(huffmanCode(two)), two);
    }
  }
});

test("random text of all octets, of ASCII and of digits is decoded at every length", () => {
  const random = seededInteger(541);
  const alphabets = [
    (): number => random(256),
    (): number => 32 + random(95),
    (): number => 48 + random(10),
    (): number => (random(20) === 0 ? random(256) : 97 + random(26)),
  ];
  for (const alphabet of alphabets) {
    for (let length = 0; length < 200; length++) {
      const text = String.fromCharCode(...Array.from({ length }, alphabet));
      assert.equal(decode(huffmanCode(text)), text);
    }
  }
});

test("a string of 300,000 octets is decoded, and one over the limit is refused", () => {
  const text = "0123456789".repeat(30_000);
  assert.equal(decode(huffmanCode(text)), text);
  const zeros = Buffer.alloc(512 * 1024 + 1);
  assert.throws(() => decodeHuffman(zeros, 0, zeros.length), { code: 0x9, message: "hpack: string too long" });
  // 512 KiB less three octets hold whole five-bit codes.
  assert.equal(decodeHuffman(zeros, 4, zeros.length), "0".repeat(((512 * 1024 - 3) * 8) / 5));
});

test("only what lies between start and end is decoded", () => {
  const code = huffmanCode("inside");
  const input = Buffer.from([...huffmanCode("before"), ...code, ...huffmanCode("after")]);
  const start = huffmanCode("before").length;
  assert.equal(decodeHuffman(input, start, start + code.length), "inside");
});

test("padding of more than seven bits is refused", () => {
  assert.equal(decode(bits("00000 111")), "0");
  assert.throws(() => decode(bits("00000 111 11111111")), invalid);
  assert.throws(() => decode(bits("11111111")), invalid);
  assert.throws(() => decode(bits("11111111 11111111")), invalid);
  assert.throws(() => decode(bits("11111000 11111111")), invalid);
});

test("padding that is not ones is refused", () => {
  assert.throws(() => decode(bits("00000 000")), invalid);
  assert.throws(() => decode(bits("00000 110")), invalid);
  assert.throws(() => decode(bits("00000 011")), invalid);
  assert.throws(() => decode(bits("00000 00000 111110")), invalid);
});

test("the EOS symbol is refused wherever it stands", () => {
  const eos = "1".repeat(30);
  assert.throws(() => decode(bits(`${eos}11`)), invalid);
  assert.throws(() => decode(bits(`00000 ${eos} 11111`)), invalid);
  assert.throws(() => decode(bits(`00000 ${eos} 00000`)), invalid);
  assert.throws(() => decode(bits(`${eos} 00000 00001`)), invalid);
});

test("a code cut off by the end is refused", () => {
  // Each long code but its last octet.
  for (const { symbol, length } of HUFFMAN_CODE) {
    if (length < 16 || symbol === EOS) continue;
    const code = huffmanCode(String.fromCharCode(symbol));
    for (let cut = 1; cut < Math.floor(length / 8); cut++) {
      assert.throws(() => decode(code.slice(0, cut)), invalid, `symbol ${symbol} cut to ${cut}`);
    }
  }
});

test("what is accepted is exactly what encodes to the same octets", () => {
  // Every input of one and two octets: it is either refused or the one encoding of what it gives.
  let accepted = 0;
  for (let octets = 0; octets < 0x10100; octets++) {
    const input = octets < 0x100 ? [octets] : [(octets - 0x100) >> 8, octets & 0xff];
    let text: string;
    try {
      text = decode(input);
    } catch {
      continue;
    }
    accepted++;
    assert.deepEqual(huffmanCode(text), input);
  }
  assert.ok(accepted > 1000);
});

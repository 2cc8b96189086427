import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameType } from "../../src/http2/frame.ts";
import { FrameDecoder } from "../../src/http2/frame-decoder.ts";
import { cutAt, decoded, Notes, single } from "../support/decoding.ts";
import {
  continuationFrame,
  dataFrame,
  goawayFrame,
  headersFrame,
  pingFrame,
  priorityFrame,
  resetFrame,
  settingsAckFrame,
  settingsFrame,
  windowFrame,
} from "../support/frames.ts";
import { type FrameCase, malformedFrames } from "../support/malformed-frames.ts";
import { frame } from "../support/raw-frames.ts";

const text = (octets: string): Buffer => Buffer.from(octets, "latin1");
const { DATA, PING } = FrameType;

const wellFormed: readonly FrameCase[] = [
  ["DATA", dataFrame(1, "hello"), ["DATA 1 length 5", 'octets "hello"']],
  ["DATA that ends its stream", dataFrame(1, "hello", true), ["DATA 1 length 5 end", 'octets "hello"']],
  ["DATA without octets", dataFrame(1, "", true), ["DATA 1 length 0 end", 'octets ""']],
  ["DATA with padding", dataFrame(1, "hello", true, 3), ["DATA 1 length 9 end", "padding 4", 'octets "hello"']],
  ["DATA with a padding of 0", dataFrame(1, "hello", false, 0), ["DATA 1 length 6", "padding 1", 'octets "hello"']],
  ["DATA that is padding", dataFrame(1, "", false, 255), ["DATA 1 length 256", "padding 256", 'octets ""']],
  ["DATA that is a padding length", dataFrame(1, "", false, 0), ["DATA 1 length 1", "padding 1", 'octets ""']],
  ["DATA with flags that it does not know", frame(DATA, 0xf6, 1, text("x")), ["DATA 1 length 1", 'octets "x"']],
  ["HEADERS", headersFrame(3, text("block")), ['HEADERS 3 "block"']],
  ["HEADERS that end their stream", headersFrame(3, text("block"), { end: true }), ['HEADERS 3 "block" end']],
  ["HEADERS without a block", headersFrame(3, text("")), ['HEADERS 3 ""']],
  ["HEADERS with padding", headersFrame(3, text("block"), { pad: 7 }), ['HEADERS 3 "block"']],
  ["HEADERS with a priority", headersFrame(3, text("block"), { dependsOn: 1 }), ['HEADERS 3 "block" depends on 1']],
  [
    "HEADERS with padding and a priority",
    headersFrame(3, text("block"), { pad: 255, dependsOn: 0, end: true }),
    ['HEADERS 3 "block" end depends on 0'],
  ],
  ["HEADERS that are padding", headersFrame(3, text(""), { pad: 4 }), ['HEADERS 3 ""']],
  [
    "HEADERS and CONTINUATION",
    Buffer.concat([
      headersFrame(3, text("a"), { whole: false, end: true, pad: 2, dependsOn: 5 }),
      continuationFrame(3, text(""), false),
      continuationFrame(3, text("bc"), false),
      continuationFrame(3, text("d")),
    ]),
    ['HEADERS 3 "abcd" end depends on 5'],
  ],
  ["PRIORITY", priorityFrame(3, 1), ["PRIORITY 3 on 1"]],
  ["RST_STREAM", resetFrame(3, 8), ["RST_STREAM 3 CANCEL"]],
  ["RST_STREAM with a code that is not known", resetFrame(3, 0xffff_ffff), ["RST_STREAM 3 0xffffffff"]],
  ["SETTINGS", settingsFrame([[4, 70_000]]), ["SETTINGS 000400011170"]],
  ["SETTINGS without any", settingsFrame(), ["SETTINGS "]],
  ["SETTINGS ack", settingsAckFrame, ["SETTINGS ack"]],
  ["PING", pingFrame("abcdefgh"), ["PING abcdefgh"]],
  ["PING ack", pingFrame("abcdefgh", true), ["PING abcdefgh ack"]],
  ["GOAWAY", goawayFrame(7, 0), ['GOAWAY 7 NO_ERROR ""']],
  ["GOAWAY with a text", goawayFrame(7, 11, "too_many_pings"), ['GOAWAY 7 ENHANCE_YOUR_CALM "too_many_pings"']],
  ["WINDOW_UPDATE", windowFrame(3, 65_535), ["WINDOW_UPDATE 3 65535"]],
  ["WINDOW_UPDATE of the connection", windowFrame(0, 1), ["WINDOW_UPDATE 0 1"]],
  ["WINDOW_UPDATE of 0, which is for the connection to judge", windowFrame(3, 0), ["WINDOW_UPDATE 3 0"]],
  ["a type that is not known", frame(0x42, 0xff, 9, text("anything")), ["unknown 66"]],
  ["a type that is not known, without octets", frame(0xff, 0, 0), ["unknown 255"]],
  ["the reserved bit of an identifier", frame(PING, 0, 0x8000_0000, text("abcdefgh")), ["PING abcdefgh"]],
  ["the reserved bit of an increment", windowFrame(3, 0x8000_0001), ["WINDOW_UPDATE 3 1"]],
  ["the reserved bit of a last stream", goawayFrame(0x8000_0007, 0), ['GOAWAY 7 NO_ERROR ""']],
  ["the exclusive bit of a priority", priorityFrame(3, 0x8000_0001), ["PRIORITY 3 on 1"]],
  ["the largest identifier", resetFrame(0x7fff_ffff, 0), ["RST_STREAM 2147483647 NO_ERROR"]],
  ["a GOAWAY text is cut", goawayFrame(1, 0, "x".repeat(1000)), [`GOAWAY 1 NO_ERROR "${"x".repeat(256)}"`]],
];

const first = settingsFrame();

for (const [name, octets, told] of [...wellFormed, ...malformedFrames]) {
  test(`${name} is read the same however it is cut`, () => {
    const all = Buffer.concat([first, octets, pingFrame("the next")]);
    const failed = told.at(-1)?.startsWith("error") === true;
    const expected = ["SETTINGS ", ...told, ...(failed ? [] : ["PING the next"])];
    assert.deepEqual(decoded([all]), expected);
    assert.deepEqual(decoded(single(all)), expected);
    for (let at = 1; at < all.length; at++) assert.deepEqual(decoded(cutAt(all, [at])), expected);
  });
}

test("a frame of the largest size is read, and one octet more ends the connection as soon as its header is in", () => {
  const largest = dataFrame(1, "x".repeat(16_384));
  assert.deepEqual(decoded([first, largest]), ["SETTINGS ", "DATA 1 length 16384", `octets "${"x".repeat(16_384)}"`]);
  const header = frame(0x42, 0, 0, Buffer.alloc(16_385)).subarray(0, 9);
  const told = ["SETTINGS ", "error FRAME_SIZE_ERROR: a frame of 16385 octets, 16384 are allowed"];
  assert.deepEqual(decoded([first, header]), told);
  assert.deepEqual(decoded(single(Buffer.concat([first, header]))), told);
  assert.deepEqual(decoded([first, frame(0x42, 0, 0, Buffer.alloc(16_385))], 16_385), ["SETTINGS ", "unknown 66"]);
});

test("what comes first has to be SETTINGS", () => {
  const told = ["error PROTOCOL_ERROR: not HTTP/2: what came first is not SETTINGS"];
  assert.deepEqual(decoded([pingFrame()]), told);
  assert.deepEqual(decoded([settingsAckFrame]), told);
  assert.deepEqual(decoded([Buffer.from("HTTP/1.1 400 Bad Request\r\n")]), told);
  assert.deepEqual(decoded([Buffer.from("HTTP/1.1")]), []);
});

test("a header block of 17 CONTINUATION frames ends the connection, one of 16 does not", () => {
  const blocks = (count: number): Buffer =>
    Buffer.concat([
      headersFrame(1, text("a"), { whole: false }),
      ...Array.from({ length: count }, (_, at) => continuationFrame(1, text("b"), at === count - 1)),
    ]);
  assert.deepEqual(decoded([first, blocks(16)]), ["SETTINGS ", `HEADERS 1 "a${"b".repeat(16)}"`]);
  assert.deepEqual(decoded([first, blocks(17)]), [
    "SETTINGS ",
    "error ENHANCE_YOUR_CALM: more than 16 CONTINUATION frames in a header block",
  ]);
});

test("a header block over its limit ends the connection before its last frame", () => {
  const part = Buffer.alloc(10_000, "x");
  const blocks = Array.from({ length: 9 }, () => continuationFrame(1, part, false));
  const atLimit = [headersFrame(1, part, { whole: false }), ...blocks, continuationFrame(1, text(""))];
  assert.deepEqual(decoded([first, ...atLimit]), ["SETTINGS ", `HEADERS 1 "${"x".repeat(100_000)}"`]);
  const over = [headersFrame(1, part, { whole: false }), ...blocks, continuationFrame(1, text("x"), false)];
  assert.deepEqual(decoded([first, ...over]), [
    "SETTINGS ",
    "error ENHANCE_YOUR_CALM: a header block of more than 100000 octets",
  ]);
});

test("a decoder that was stopped in the middle of a chunk tells nothing more of it", () => {
  const stops = [
    [pingFrame("stop now"), ["PING"]],
    [dataFrame(1, "stop"), ["DATA"]],
    [headersFrame(1, text("stop")), ["HEADERS"]],
  ] as const;
  for (const [octets, expected] of stops) {
    const told: string[] = [];
    const note = (what: string): void => {
      told.push(what);
      decoder.stop();
    };
    const nothing = (): void => {
      told.push("more");
    };
    const decoder = new FrameDecoder(
      {
        onDataFrame: () => note("DATA"),
        onData: nothing,
        onPadding: nothing,
        onHeaders: () => note("HEADERS"),
        onPriority: nothing,
        onReset: nothing,
        onSettings: () => {},
        onSettingsAck: nothing,
        onPing: () => note("PING"),
        onGoaway: nothing,
        onWindowUpdate: nothing,
        onUnknown: nothing,
        onStreamError: nothing,
        weary: () => false,
      },
      { maxBlockSize: 1000, maxContinuations: 1 },
    );
    decoder.push(Buffer.concat([first, octets, windowFrame(0, 1), resetFrame(1, 0)]));
    decoder.push(windowFrame(0, 1));
    assert.deepEqual(told, expected);
  }
});

test("header blocks and frames that are given up half way leave no memory to the collector", () => {
  const fragment = Buffer.alloc(16_384, "x");
  const parts = [
    headersFrame(1, fragment, { whole: false }),
    ...Array.from({ length: 6 }, () => continuationFrame(1, fragment, false)),
  ];
  // The last fragment is cut, too.
  const octets = Buffer.concat([settingsFrame(), ...parts]).subarray(0, -1000);
  const giveUp = (): void => {
    const decoder = new FrameDecoder(new Notes(), { maxBlockSize: 131_072, maxContinuations: 16 });
    for (let at = 0; at < octets.length; at += 50_000) decoder.push(octets.subarray(at, at + 50_000));
    decoder.stop();
  };
  giveUp();
  const before = process.memoryUsage().arrayBuffers;
  for (let times = 0; times < 500; times++) giveUp();
  const grown = process.memoryUsage().arrayBuffers - before;
  assert.ok(grown < 1_000_000, `${grown} octets for 500 blocks of 112 KiB`);
});

test("nothing is unfinished where nothing is read any more", () => {
  for (const octets of [pingFrame("abcdefgh").subarray(0, 5), pingFrame("abcdefgh").subarray(0, 12)]) {
    const decoder = new FrameDecoder(new Notes(), { maxBlockSize: 1000, maxContinuations: 1 });
    decoder.push(Buffer.concat([settingsFrame(), octets]));
    assert.notEqual(decoder.unfinished, 0);
    decoder.stop();
    assert.equal(decoder.unfinished, 0);
  }
});

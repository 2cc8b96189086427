import { Flag, FrameType } from "../../src/http2/frame.ts";
import { continuationFrame, dataFrame, headersFrame, pingFrame, priorityFrame, resetFrame } from "./frames.ts";
import { frame, word } from "./raw-frames.ts";

/** Octets after the first SETTINGS, and what a decoder tells of them. */
export type FrameCase = readonly [name: string, octets: Buffer, told: readonly string[]];

const text = (octets: string): Buffer => Buffer.from(octets, "latin1");
const { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION } =
  FrameType;

const size = "error FRAME_SIZE_ERROR:";
const protocol = "error PROTOCOL_ERROR:";
const openBlock = headersFrame(1, text("a"), { whole: false });

const interrupting: readonly (readonly [name: string, octets: Buffer])[] = [
  ["DATA", dataFrame(1, "x")],
  ["HEADERS", headersFrame(1, text("x"))],
  ["PING", pingFrame()],
  ["an unknown frame", frame(0x42, 0, 0)],
  ["CONTINUATION of another stream", continuationFrame(3, text("x"))],
];

/** A frame that breaks a rule, for every field that can. */
export const malformedFrames: readonly FrameCase[] = [
  ["DATA on stream 0", dataFrame(0, "x"), [`${protocol} DATA on stream 0`]],
  [
    "DATA whose padding length is missing",
    frame(DATA, Flag.PADDED, 1),
    [`${size} padded DATA without a padding length`],
  ],
  [
    "DATA with padding as long as itself",
    frame(DATA, Flag.PADDED, 1, Buffer.of(1)),
    ["DATA 1 length 1", `${protocol} DATA padding as long as its frame or longer`],
  ],
  [
    "DATA with padding longer than itself",
    frame(DATA, Flag.PADDED, 1, Buffer.of(5, 0, 0, 0)),
    ["DATA 1 length 4", `${protocol} DATA padding as long as its frame or longer`],
  ],
  ["HEADERS on stream 0", headersFrame(0, text("x")), [`${protocol} HEADERS on stream 0`]],
  [
    "HEADERS whose padding length is missing",
    frame(HEADERS, Flag.PADDED | Flag.END_HEADERS, 1),
    [`${size} padded HEADERS without a padding length`],
  ],
  [
    "HEADERS with padding longer than what is left",
    frame(HEADERS, Flag.PADDED | Flag.END_HEADERS, 1, Buffer.of(3, 0, 0)),
    [`${protocol} HEADERS padding longer than its frame`],
  ],
  [
    "HEADERS too short for their priority",
    frame(HEADERS, Flag.PRIORITY | Flag.END_HEADERS, 1, Buffer.alloc(4)),
    [`${size} HEADERS too short for its priority`],
  ],
  [
    "HEADERS whose padding takes their priority",
    frame(HEADERS, Flag.PADDED | Flag.PRIORITY | Flag.END_HEADERS, 1, Buffer.of(2, 0, 0, 0, 0, 0, 0)),
    [`${size} HEADERS too short for its priority`],
  ],
  ["PRIORITY on stream 0", priorityFrame(0, 1), [`${protocol} PRIORITY on stream 0`]],
  ...[0, 4, 6].map((length): FrameCase => {
    const told = `stream error 3 FRAME_SIZE_ERROR: PRIORITY of ${length} octets, not 5`;
    return [`PRIORITY of ${length} octets`, frame(PRIORITY, 0, 3, Buffer.alloc(length)), [told]];
  }),
  ["RST_STREAM on stream 0", resetFrame(0, 0), [`${protocol} RST_STREAM on stream 0`]],
  ...[0, 3, 5].map((length): FrameCase => {
    const told = `${size} RST_STREAM of ${length} octets, not 4`;
    return [`RST_STREAM of ${length} octets`, frame(RST_STREAM, 0, 3, Buffer.alloc(length)), [told]];
  }),
  ["SETTINGS on a stream", frame(SETTINGS, 0, 1), [`${protocol} SETTINGS on stream 1`]],
  [
    "SETTINGS of 5 octets",
    frame(SETTINGS, 0, 0, Buffer.alloc(5)),
    [`${size} SETTINGS of 5 octets, not a multiple of 6`],
  ],
  [
    "SETTINGS ack with a payload",
    frame(SETTINGS, Flag.ACK, 0, Buffer.alloc(6)),
    [`${size} a SETTINGS acknowledgement with a payload`],
  ],
  ["SETTINGS ack on a stream", frame(SETTINGS, Flag.ACK, 1), [`${protocol} SETTINGS on stream 1`]],
  ["PUSH_PROMISE", frame(PUSH_PROMISE, 4, 1, word(2)), [`${protocol} PUSH_PROMISE, and push is disabled`]],
  ["PING on a stream", frame(PING, 0, 1, Buffer.alloc(8)), [`${protocol} PING on stream 1`]],
  ...[0, 7, 9].map((length): FrameCase => {
    const told = `${size} PING of ${length} octets, not 8`;
    return [`PING of ${length} octets`, frame(PING, 0, 0, Buffer.alloc(length)), [told]];
  }),
  ["GOAWAY on a stream", frame(GOAWAY, 0, 1, Buffer.alloc(8)), [`${protocol} GOAWAY on stream 1`]],
  ["GOAWAY of 7 octets", frame(GOAWAY, 0, 0, Buffer.alloc(7)), [`${size} GOAWAY of 7 octets, fewer than 8`]],
  ["GOAWAY without octets", frame(GOAWAY, 0, 0), [`${size} GOAWAY of 0 octets, fewer than 8`]],
  ...[0, 3, 5].map((length): FrameCase => {
    const told = `${size} WINDOW_UPDATE of ${length} octets, not 4`;
    return [`WINDOW_UPDATE of ${length} octets`, frame(WINDOW_UPDATE, 0, 3, Buffer.alloc(length)), [told]];
  }),
  ["CONTINUATION without HEADERS", continuationFrame(1, text("x")), [`${protocol} CONTINUATION without HEADERS`]],
  [
    "CONTINUATION after a whole block",
    Buffer.concat([headersFrame(1, text("a")), frame(CONTINUATION, 0, 1)]),
    ['HEADERS 1 "a"', `${protocol} CONTINUATION without HEADERS`],
  ],
  ...interrupting.map(([name, octets]): FrameCase => {
    const told = `${protocol} a header block was interrupted by another frame`;
    return [`a block interrupted by ${name}`, Buffer.concat([openBlock, octets]), [told]];
  }),
];

/** Those that cost their connection, with the code, whatever else is on it. */
export const fatalFrames: readonly (readonly [name: string, octets: Buffer, code: string])[] = malformedFrames.flatMap(
  ([name, octets, told]) => {
    const code = /^error ([A-Z_]+):/.exec(told.at(-1) ?? "")?.[1];
    // A block that is told first is none that can be decoded.
    return code === undefined || told[0]?.startsWith("HEADERS ") === true ? [] : [[name, octets, code]];
  },
);

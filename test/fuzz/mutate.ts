import { CLIENT_PREFACE, FrameType } from "../../src/http2/frame.ts";
import { PeerEncoder, type PlainField } from "../support/hpack-peer.ts";
import { FrameReader, frame, type RawFrame } from "../support/raw-frames.ts";
import { pick, type Random } from "./target.ts";

/** No input is longer: what takes more than that to find out is for the tests of limits. */
const MOST = 4096;

const OCTETS = [0, 1, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0x82, 0x88, 0xbe, 0xbf, 0xff];
const WORDS = [0, 1, 2, 99, 0x3fff, 0x4000, 0x4001, 0xffff, 0xff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/** Changes some octets, whatever they mean. */
export function mutateOctets(input: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  let octets: Buffer = Buffer.from(input);
  for (let more = 1 + random(4); more > 0; more--) octets = change(octets, random, others);
  return octets.subarray(0, MOST);
}

function change(octets: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  const at = random(octets.length + 1);
  const to = Math.min(octets.length, at + 1 + random(random(2) === 0 ? 4 : 60));
  switch (random(8)) {
    case 0:
      return replaced(octets, at, at + 1, Buffer.of((octets[at] ?? 0) ^ (1 << random(8))));
    case 1:
      return replaced(octets, at, at + 1, Buffer.of(pick(random, OCTETS)));
    case 2:
      return replaced(octets, at, to, Buffer.alloc(0));
    case 3:
      return replaced(octets, at, at, octets.subarray(at, to));
    case 4:
      return replaced(octets, at, at, Buffer.from(Array.from({ length: 1 + random(6) }, () => random(256))));
    case 5: {
      const word = Buffer.alloc(4);
      word.writeUInt32BE(pick(random, WORDS));
      const size = 1 + random(4);
      return replaced(octets, at, at + size, word.subarray(4 - size));
    }
    case 6:
      return replaced(octets, at, at + 1, Buffer.of(random(256)));
    default: {
      const other = others.length === 0 ? octets : pick(random, others);
      const from = random(other.length + 1);
      return replaced(octets, at, random(2) === 0 ? at : octets.length, other.subarray(from, from + random(300)));
    }
  }
}

function replaced(octets: Buffer, from: number, to: number, by: Uint8Array): Buffer {
  return Buffer.concat([octets.subarray(0, from), by, octets.subarray(to)]);
}

const STREAMS = [0, 1, 1, 2, 3, 3, 5, 7, 9, 11, 13, 99, 0x7fff_ffff, 0x8000_0001];

/** Changes frames as frames: which there are, in which order, of which type, on which stream, with what in them. */
export function mutateFrames(input: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  if (random(4) === 0) return mutateOctets(input, random, others);
  const { frames, rest } = cutIntoFrames(input);
  for (let more = 1 + random(3); more > 0; more--) {
    const at = random(frames.length + 1);
    const one = frames[at] ?? newFrame(random);
    const theirs = others.length === 0 ? [] : cutIntoFrames(pick(random, others)).frames;
    switch (random(9)) {
      case 0:
        frames.splice(at, 1);
        break;
      case 1:
        frames.splice(at, 0, one);
        break;
      case 2:
        frames.splice(random(frames.length + 1), 0, ...frames.splice(at, 1));
        break;
      case 3:
        frames.splice(at, 0, newFrame(random));
        break;
      case 4:
        frames.splice(at, 0, ...theirs.slice(random(theirs.length + 1)).slice(0, 1 + random(3)));
        break;
      case 5:
        frames[at] = { ...one, stream: pick(random, STREAMS) };
        break;
      case 6:
        frames[at] = { ...one, flags: one.flags ^ pick(random, [1, 4, 8, 0x20, 1 << random(8)]) };
        break;
      case 7:
        frames[at] = { ...one, type: random(12) };
        break;
      default:
        frames[at] = { ...one, payload: Buffer.from(mutateOctets(one.payload, random, [])) };
    }
  }
  return Buffer.concat([
    ...frames.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)),
    rest,
  ]).subarray(0, MOST);
}

function cutIntoFrames(input: Buffer): { frames: RawFrame[]; rest: Buffer } {
  const frames = new FrameReader().push(input);
  const read = frames.reduce((sum, { payload }) => sum + 9 + payload.length, 0);
  return { frames, rest: input.subarray(read) };
}

/** A frame that makes sense, more or less. */
function newFrame(random: Random): RawFrame {
  const stream = pick(random, STREAMS) & 0x7fff_ffff;
  const word = Buffer.alloc(4);
  word.writeUInt32BE(pick(random, WORDS));
  const of = (type: number, flags: number, payload: Buffer, id = stream): RawFrame => ({
    type,
    flags,
    stream: id,
    payload,
  });
  switch (random(10)) {
    case 0:
    case 1:
    case 2:
      return of(FrameType.HEADERS, random(4) === 0 ? random(256) : 4 | random(2), someBlock(random));
    case 3:
      return of(
        FrameType.DATA,
        pick(random, [0, 0, 1, 8, 9]),
        Buffer.alloc(random(pick(random, [2, 20, 400])), random(256)),
      );
    case 4: {
      const setting = Buffer.concat([Buffer.of(0, 1 + random(7)), word]);
      return of(FrameType.SETTINGS, random(8) === 0 ? 1 : 0, random(8) === 0 ? Buffer.alloc(0) : setting, 0);
    }
    case 5:
      return of(FrameType.RST_STREAM, 0, word);
    case 6:
      return of(FrameType.WINDOW_UPDATE, 0, word);
    case 7:
      return of(FrameType.CONTINUATION, random(2) * 4, someBlock(random));
    case 8:
      return of(FrameType.PING, random(2), CLIENT_PREFACE.subarray(0, 8), 0);
    default:
      return random(2) === 0
        ? of(FrameType.GOAWAY, 0, Buffer.concat([word, Buffer.alloc(4)]), 0)
        : of(FrameType.PRIORITY, 0, Buffer.concat([word, Buffer.of(1)]));
  }
}

const FIELDS: readonly PlainField[] = [
  ["content-length", "0"],
  ["content-length", "5"],
  ["te", "trailers"],
  ["x-a", "1"],
  ["x-a", "", true],
  ["grpc-status", "0"],
  ["authorization", "secret", true],
  ["connection", "close"],
  ["x-long", "v".repeat(200)],
];

/** The block of a request, an answer or trailers; with the dynamic table or without. */
export function someBlock(random: Random): Buffer {
  const encoder = new PeerEncoder(4096, () => pick(random, ["none", "incremental", "never"]));
  if (random(12) === 0) encoder.resize(pick(random, [0, 40, 4096, 5000]));
  const fields: PlainField[] = pick(random, [
    [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", `/${random(9)}`],
      [":authority", "a"],
    ],
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/"],
    ],
    [[":status", pick(random, ["200", "103", "404"])]],
    [],
  ] satisfies PlainField[][]).slice();
  for (let more = random(4); more > 0; more--) fields.push(pick(random, FIELDS));
  if (random(10) === 0) fields.reverse();
  return encoder.encode(fields);
}

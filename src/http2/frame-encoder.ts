import type { Head } from "../http/headers.ts";
import type { ErrorCode } from "./errors.ts";
import { DEFAULT_MAX_FRAME_SIZE, Flag, FRAME_HEADER_SIZE, FrameType } from "./frame.ts";
import type { HpackEncoder } from "./hpack/encoder.ts";
import type { Output } from "./output.ts";

/** Writes a frame header at `at`, RFC 9113 §4.1; returns the offset after it. */
function putHeader(buffer: Buffer, at: number, length: number, type: number, flags: number, streamId: number): number {
  buffer.writeUInt32BE(((length << 8) | type) >>> 0, at);
  buffer[at + 4] = flags;
  buffer.writeUInt32BE(streamId, at + 5);
  return at + FRAME_HEADER_SIZE;
}

/** HEADERS, with CONTINUATION frames where the block does not fit into one frame (RFC 9113 §6.10). */
export function writeHeaders(
  output: Output,
  encoder: HpackEncoder,
  streamId: number,
  head: Head,
  endStream: boolean,
): void {
  const flags = endStream ? Flag.END_STREAM : 0;
  const bound = encoder.bound(head);
  if (bound <= DEFAULT_MAX_FRAME_SIZE) {
    const buffer = output.reserve(FRAME_HEADER_SIZE + bound);
    const at = output.position;
    const end = encoder.encode(head, buffer, at + FRAME_HEADER_SIZE);
    putHeader(buffer, at, end - at - FRAME_HEADER_SIZE, FrameType.HEADERS, flags | Flag.END_HEADERS, streamId);
    output.advance(end);
    return;
  }
  const block = Buffer.allocUnsafe(bound);
  const size = encoder.encode(head, block, 0);
  let from = 0;
  do {
    const to = Math.min(size, from + DEFAULT_MAX_FRAME_SIZE);
    const buffer = output.reserve(FRAME_HEADER_SIZE + to - from);
    const type = from === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    const last = to === size ? Flag.END_HEADERS : 0;
    const at = putHeader(buffer, output.position, to - from, type, (from === 0 ? flags : 0) | last, streamId);
    block.copy(buffer, at, from, to);
    output.advance(at + to - from);
    from = to;
  } while (from < size);
}

/** One DATA frame with a copy of `source` from `start` to `end`. */
export function writeData(
  output: Output,
  streamId: number,
  source: Buffer,
  start: number,
  end: number,
  endStream: boolean,
): void {
  const length = end - start;
  const buffer = output.reserve(FRAME_HEADER_SIZE + length);
  const at = putHeader(buffer, output.position, length, FrameType.DATA, endStream ? Flag.END_STREAM : 0, streamId);
  if (length > 0) source.copy(buffer, at, start, end);
  output.advance(at + length);
}

/** RST_STREAM, RFC 9113 §6.4. */
export function writeReset(output: Output, streamId: number, code: ErrorCode): void {
  writeWord(output, FrameType.RST_STREAM, streamId, code);
}

/** WINDOW_UPDATE, RFC 9113 §6.9. `increment` is at least 1. */
export function writeWindowUpdate(output: Output, streamId: number, increment: number): void {
  writeWord(output, FrameType.WINDOW_UPDATE, streamId, increment);
}

function writeWord(output: Output, type: number, streamId: number, word: number): void {
  const buffer = output.reserve(FRAME_HEADER_SIZE + 4);
  const at = putHeader(buffer, output.position, 4, type, 0, streamId);
  buffer.writeUInt32BE(word, at);
  output.advance(at + 4);
}

/** SETTINGS of the given pairs, RFC 9113 §6.5.1. */
export function writeSettings(output: Output, settings: readonly (readonly [id: number, value: number])[]): void {
  const buffer = output.reserve(FRAME_HEADER_SIZE + settings.length * 6);
  let at = putHeader(buffer, output.position, settings.length * 6, FrameType.SETTINGS, 0, 0);
  for (const [id, value] of settings) {
    buffer.writeUInt16BE(id, at);
    buffer.writeUInt32BE(value, at + 2);
    at += 6;
  }
  output.advance(at);
}

/** SETTINGS with ACK, RFC 9113 §6.5.3. */
export function writeSettingsAck(output: Output): void {
  const buffer = output.reserve(FRAME_HEADER_SIZE);
  output.advance(putHeader(buffer, output.position, 0, FrameType.SETTINGS, Flag.ACK, 0));
}

/** PING with the 8 octets of `source` at `start`. */
export function writePing(output: Output, source: Buffer, start: number, ack: boolean): void {
  const buffer = output.reserve(FRAME_HEADER_SIZE + 8);
  const at = putHeader(buffer, output.position, 8, FrameType.PING, ack ? Flag.ACK : 0, 0);
  source.copy(buffer, at, start, start + 8);
  output.advance(at + 8);
}

/** GOAWAY; `debug` is for people and at most 256 octets of ASCII. */
export function writeGoaway(output: Output, lastStreamId: number, code: ErrorCode, debug: string): void {
  const text = Buffer.from(debug.slice(0, 256), "latin1");
  const buffer = output.reserve(FRAME_HEADER_SIZE + 8 + text.length);
  const at = putHeader(buffer, output.position, 8 + text.length, FrameType.GOAWAY, 0, 0);
  buffer.writeUInt32BE(lastStreamId, at);
  buffer.writeUInt32BE(code, at + 4);
  text.copy(buffer, at + 8);
  output.advance(at + 8 + text.length);
}

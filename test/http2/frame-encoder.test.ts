import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { Flag, FrameType } from "../../src/http2/frame.ts";
import * as frames from "../../src/http2/frame-encoder.ts";
import { HpackEncoder } from "../../src/http2/hpack/encoder.ts";
import { Output } from "../../src/http2/output.ts";
import { TestTransport } from "../support/engine.ts";
import { FrameReader, type RawFrame } from "../support/raw-frames.ts";
import { RawHpackDecoder } from "../support/raw-hpack.ts";
import { pairsOf } from "../support/raw-peer.ts";

function noop(): void {}

/** The frames that `write` writes, as octets in between say them. */
function written(write: (output: Output) => void): RawFrame[] {
  const transport = new TestTransport();
  const output = new Output(transport, "callback", noop, noop);
  write(output);
  output.flush();
  const reader = new FrameReader();
  return transport.written.flatMap((chunk) => reader.push(chunk));
}

/** Of frames without a payload that matters. */
function plainly({ type, flags, stream, payload }: RawFrame): unknown[] {
  return [type, flags, stream, payload.toString("hex")];
}

function headFrames(fields: [string, string][], end: boolean): RawFrame[] {
  const head = new HeaderTable().head(fields);
  return written((output) => frames.writeHeaders(output, new HpackEncoder(), 5, head, end));
}

test("a frame of every kind is written as RFC 9113 has it", () => {
  const octets = Buffer.from("..abc..");
  assert.deepEqual(
    written((output) => {
      frames.writeData(output, 1, octets, 2, 5, false);
      frames.writeData(output, 3, octets, 2, 2, true);
      frames.writeReset(output, 0x7fff_ffff, 0xffff_ffff);
      frames.writeWindowUpdate(output, 0, 0x7fff_ffff);
      frames.writeSettings(output, [
        [1, 4096],
        [0x4f52, 1],
      ]);
      frames.writeSettings(output, []);
      frames.writeSettingsAck(output);
      frames.writePing(output, Buffer.from("-01234567-"), 1, false);
      frames.writePing(output, Buffer.from("-01234567-"), 1, true);
      frames.writeGoaway(output, 7, 2, "why");
    }).map(plainly),
    [
      [FrameType.DATA, 0, 1, "616263"],
      [FrameType.DATA, Flag.END_STREAM, 3, ""],
      [FrameType.RST_STREAM, 0, 0x7fff_ffff, "ffffffff"],
      [FrameType.WINDOW_UPDATE, 0, 0, "7fffffff"],
      [FrameType.SETTINGS, 0, 0, "0001000010004f5200000001"],
      [FrameType.SETTINGS, 0, 0, ""],
      [FrameType.SETTINGS, Flag.ACK, 0, ""],
      [FrameType.PING, 0, 0, Buffer.from("01234567").toString("hex")],
      [FrameType.PING, Flag.ACK, 0, Buffer.from("01234567").toString("hex")],
      [FrameType.GOAWAY, 0, 0, `0000000700000002${Buffer.from("why").toString("hex")}`],
    ],
  );
});

test("the text of a GOAWAY is cut at 256 octets", () => {
  const [goaway] = written((output) => frames.writeGoaway(output, 1, 0, "x".repeat(1000)));
  assert.equal(goaway?.payload.length, 8 + 256);
});

test("a head that fits is one HEADERS frame", () => {
  const fields: [string, string][] = [
    [":status", "200"],
    ["x-a", "b"],
  ];
  for (const end of [false, true]) {
    const [first, ...more] = headFrames(fields, end);
    assert.ok(first !== undefined);
    assert.deepEqual([first.type, first.stream, more.length], [FrameType.HEADERS, 5, 0]);
    assert.equal(first.flags, Flag.END_HEADERS | (end ? Flag.END_STREAM : 0));
    assert.deepEqual(pairsOf(new RawHpackDecoder().decode(first.payload)), fields);
  }
});

test("a head that does not fit is HEADERS and full CONTINUATION frames", () => {
  const fields = Array.from({ length: 50 }, (_, at): [string, string] => [`x-${at}`, "v".repeat(1000)]);
  const all = headFrames(fields, true);
  assert.deepEqual(
    all.map(({ type, flags, stream }) => [type, flags, stream]),
    [
      [FrameType.HEADERS, Flag.END_STREAM, 5],
      [FrameType.CONTINUATION, 0, 5],
      [FrameType.CONTINUATION, 0, 5],
      [FrameType.CONTINUATION, Flag.END_HEADERS, 5],
    ],
  );
  assert.deepEqual(
    all.slice(0, 3).map(({ payload }) => payload.length),
    [16_384, 16_384, 16_384],
  );
  const block = Buffer.concat(all.map(({ payload }) => payload));
  assert.deepEqual(pairsOf(new RawHpackDecoder().decode(block)), fields);
});

test("a head whose bound is over a frame and whose block is not needs no CONTINUATION", () => {
  // 300 fields of the static table: 34 octets and more each by their bound, one on the wire.
  const fields = Array.from({ length: 600 }, (): [string, string] => ["accept-encoding", "gzip, deflate"]);
  const all = headFrames(fields, false);
  assert.deepEqual(
    all.map(({ type, flags, payload }) => [type, flags, payload.length]),
    [[FrameType.HEADERS, Flag.END_HEADERS, 600]],
  );
});

import assert from "node:assert/strict";
import { FrameType } from "../../src/http2/frame.ts";
import type { FrameSink } from "../../src/http2/frame-decoder.ts";
import { decoded, decodeTo } from "../support/decoding.ts";
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
import { frame } from "../support/raw-frames.ts";
import { mutateFrames } from "./mutate.ts";
import { cuts, shape, type Target } from "./target.ts";

/** The frame decoder: cut anywhere it reads the same, and what it has read says the same when it is written anew. */
export const frames: Target = {
  name: "frames",
  seeds: () => [
    Buffer.concat([settingsFrame([[4, 100]]), settingsAckFrame, pingFrame(), pingFrame("pingpong", true)]),
    Buffer.concat([
      settingsFrame(),
      headersFrame(1, Buffer.from("block"), { pad: 3, dependsOn: 5 }),
      dataFrame(1, "x", true, 2),
    ]),
    Buffer.concat([
      settingsFrame(),
      headersFrame(1, Buffer.from("a"), { whole: false }),
      continuationFrame(1, Buffer.from("b"), false),
      continuationFrame(1, Buffer.from("c")),
    ]),
    Buffer.concat([
      settingsFrame(),
      resetFrame(1, 8),
      windowFrame(0, 5),
      priorityFrame(3, 1),
      goawayFrame(1, 2, "bye"),
    ]),
    Buffer.concat([settingsFrame(), frame(0x42, 0, 0, Buffer.from("??")), frame(FrameType.DATA, 0, 1)]),
  ],
  mutate: mutateFrames,
  run(input) {
    const [whole = [], ...others] = cuts(input).map((pieces) => decoded(pieces));
    for (const other of others) assert.deepEqual(other, whole, "cut otherwise, the same octets read otherwise");
    const again = new Rewriter();
    try {
      decodeTo(again, [input]);
    } catch {
      // What came before the error is written anew.
    }
    assert.deepEqual(decoded([again.octets]), complete(whole), "written anew, it reads otherwise");
    return whole.map((line) => shape(line.replace(/^(SETTINGS|PING) [\s\S]*?( ack)?$/, "$1$2")));
  },
};

/** Without the error at the end, and without a DATA frame that was cut off. */
function complete(lines: readonly string[]): string[] {
  const kept = lines.filter((line) => !line.startsWith("error "));
  const last = kept.findLastIndex((line) => line.startsWith("DATA "));
  return last >= 0 && !kept.slice(last).some((line) => line.startsWith("octets ")) ? kept.slice(0, last) : kept;
}

/** Writes down as frames what a decoder tells. */
class Rewriter implements FrameSink {
  private readonly parts: Buffer[] = [];
  private readonly data = { stream: 0, end: false, pad: undefined as number | undefined, octets: [] as Buffer[] };

  get octets(): Buffer {
    return Buffer.concat(this.parts);
  }

  onDataFrame(stream: number, _length: number, end: boolean): void {
    Object.assign(this.data, { stream, end, pad: undefined, octets: [] });
  }

  onPadding(octets: number): void {
    this.data.pad = octets - 1;
  }

  onData(buffer: Buffer, start: number, end: number, last: boolean): void {
    const { data } = this;
    data.octets.push(Buffer.from(buffer.subarray(start, end)));
    if (last) this.parts.push(dataFrame(data.stream, Buffer.concat(data.octets), data.end, data.pad));
  }

  onHeaders(id: number, buffer: Buffer, start: number, end: number, endStream: boolean, dependsOn: number): void {
    const block = Buffer.from(buffer.subarray(start, end));
    const shape = { end: endStream, ...(dependsOn < 0 ? {} : { dependsOn }) };
    // In two frames, whatever it came in.
    this.parts.push(
      headersFrame(id, block.subarray(0, 3), { ...shape, whole: false }),
      continuationFrame(id, block.subarray(3)),
    );
  }

  weary(): boolean {
    return false;
  }

  onPriority(id: number, dependsOn: number): void {
    this.parts.push(priorityFrame(id, dependsOn));
  }

  onReset(id: number, code: number): void {
    this.parts.push(resetFrame(id, code));
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.parts.push(frame(FrameType.SETTINGS, 0, 0, buffer.subarray(start, end)));
  }

  onSettingsAck(): void {
    this.parts.push(settingsAckFrame);
  }

  onPing(buffer: Buffer, start: number, ack: boolean): void {
    this.parts.push(pingFrame(buffer.subarray(start, start + 8), ack));
  }

  onGoaway(last: number, code: number, debug: string): void {
    this.parts.push(goawayFrame(last, code, debug));
  }

  onWindowUpdate(id: number, increment: number): void {
    this.parts.push(windowFrame(id, increment));
  }

  onUnknown(type: number): void {
    this.parts.push(frame(type, 0, 0));
  }

  /** The one thing of this kind is a PRIORITY of another length. */
  onStreamError(id: number, _code: number, reason: string): void {
    this.parts.push(frame(FrameType.PRIORITY, 0, id, Buffer.alloc(Number(/of ([0-9]+) octets/.exec(reason)?.[1]))));
  }
}

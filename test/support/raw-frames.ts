import { FrameType } from "../../src/http2/frame.ts";

/** A frame as it is on the wire, RFC 9113 §4.1. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The octets of a frame. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** The payload of a frame that is one 32-bit word: RST_STREAM, WINDOW_UPDATE. */
export function word(value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(value);
  return payload;
}

/** Cuts octets into frames, however they come. */
export class FrameReader {
  private rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): RawFrame[] {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    const frames: RawFrame[] = [];
    let at = 0;
    while (this.rest.length - at >= 9) {
      const length = this.rest.readUIntBE(at, 3);
      if (this.rest.length - at < 9 + length) break;
      frames.push({
        type: this.rest.readUInt8(at + 3),
        flags: this.rest.readUInt8(at + 4),
        stream: this.rest.readUInt32BE(at + 5) & 0x7fffffff,
        payload: Buffer.from(this.rest.subarray(at + 9, at + 9 + length)),
      });
      at += 9 + length;
    }
    this.rest = this.rest.subarray(at);
    return frames;
  }
}

const names = new Map<number, string>(Object.entries(FrameType).map(([name, type]) => [type, name]));

/** For messages of failed tests. */
export function frameName(type: number): string {
  return names.get(type) ?? `type ${type}`;
}

import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { frame, word } from "./raw-frames.ts";

/** Builders of frames as a peer may send them, well-formed unless told otherwise. */

export interface HeadersShape {
  readonly end?: boolean;
  /** False: CONTINUATION follows. */
  readonly whole?: boolean;
  /** Octets of padding. */
  readonly pad?: number;
  /** The stream that this one depends on. */
  readonly dependsOn?: number;
}

export function headersFrame(stream: number, block: Uint8Array, shape: HeadersShape = {}): Buffer {
  const { end = false, whole = true, pad, dependsOn } = shape;
  const flags =
    (end ? Flag.END_STREAM : 0) |
    (whole ? Flag.END_HEADERS : 0) |
    (pad === undefined ? 0 : Flag.PADDED) |
    (dependsOn === undefined ? 0 : Flag.PRIORITY);
  const parts = [
    ...(pad === undefined ? [] : [Buffer.of(pad)]),
    ...(dependsOn === undefined ? [] : [word(dependsOn), Buffer.of(15)]),
    block,
    Buffer.alloc(pad ?? 0),
  ];
  return frame(FrameType.HEADERS, flags, stream, Buffer.concat(parts));
}

export function continuationFrame(stream: number, block: Uint8Array, whole = true): Buffer {
  return frame(FrameType.CONTINUATION, whole ? Flag.END_HEADERS : 0, stream, block);
}

export function dataFrame(stream: number, data: Uint8Array | string, end = false, pad?: number): Buffer {
  const octets = typeof data === "string" ? Buffer.from(data, "latin1") : data;
  const flags = (end ? Flag.END_STREAM : 0) | (pad === undefined ? 0 : Flag.PADDED);
  const payload = pad === undefined ? octets : Buffer.concat([Buffer.of(pad), octets, Buffer.alloc(pad)]);
  return frame(FrameType.DATA, flags, stream, payload);
}

export function priorityFrame(stream: number, dependsOn: number): Buffer {
  return frame(FrameType.PRIORITY, 0, stream, Buffer.concat([word(dependsOn), Buffer.of(15)]));
}

export function resetFrame(stream: number, code: number): Buffer {
  return frame(FrameType.RST_STREAM, 0, stream, word(code));
}

export function settingsFrame(values: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(values.length * 6);
  values.forEach(([id, value], at) => {
    payload.writeUInt16BE(id, at * 6);
    payload.writeUInt32BE(value, at * 6 + 2);
  });
  return frame(FrameType.SETTINGS, 0, 0, payload);
}

export const settingsAckFrame = frame(FrameType.SETTINGS, Flag.ACK, 0);

export function pingFrame(payload: string | Uint8Array = "pingping", ack = false): Buffer {
  return frame(FrameType.PING, ack ? Flag.ACK : 0, 0, Buffer.from(payload));
}

export function goawayFrame(last: number, code: number, debug = ""): Buffer {
  return frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(last), word(code), Buffer.from(debug, "latin1")]));
}

export function windowFrame(stream: number, increment: number): Buffer {
  return frame(FrameType.WINDOW_UPDATE, 0, stream, word(increment));
}

/** How a client that has nothing to ask begins. */
export const clientGreeting = Buffer.concat([CLIENT_PREFACE, settingsFrame()]);

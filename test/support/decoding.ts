import { ConnectionError, errorCodeName } from "../../src/http2/errors.ts";
import { FrameDecoder, type FrameSink } from "../../src/http2/frame-decoder.ts";

const limits = { maxBlockSize: 100_000, maxContinuations: 16 };

/** Writes down what a decoder tells, with the pieces of one DATA frame put together, so that cuts do not show. */
export class Notes implements FrameSink {
  readonly lines: string[] = [];
  private data: string | undefined = undefined;

  onDataFrame(streamId: number, length: number, endStream: boolean): void {
    this.lines.push(`DATA ${streamId} length ${length}${endStream ? " end" : ""}`);
    this.data = "";
  }

  onData(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.data === undefined) throw new Error("octets of no DATA frame");
    this.data += buffer.toString("latin1", start, end);
    if (!last) return;
    this.lines.push(`octets "${this.data}"`);
    this.data = undefined;
  }

  onPadding(octets: number): void {
    this.lines.push(`padding ${octets}`);
  }

  onHeaders(id: number, buffer: Buffer, start: number, end: number, endStream: boolean, dependsOn: number): void {
    const block = buffer.toString("latin1", start, end);
    this.lines.push(
      `HEADERS ${id} "${block}"${endStream ? " end" : ""}${dependsOn < 0 ? "" : ` depends on ${dependsOn}`}`,
    );
  }

  weary(): boolean {
    return false;
  }

  onPriority(streamId: number, dependsOn: number): void {
    this.lines.push(`PRIORITY ${streamId} on ${dependsOn}`);
  }

  onReset(streamId: number, code: number): void {
    this.lines.push(`RST_STREAM ${streamId} ${errorCodeName(code)}`);
  }

  onSettings(buffer: Buffer, start: number, end: number): void {
    this.lines.push(`SETTINGS ${buffer.toString("hex", start, end)}`);
  }

  onSettingsAck(): void {
    this.lines.push("SETTINGS ack");
  }

  onPing(buffer: Buffer, start: number, ack: boolean): void {
    this.lines.push(`PING ${buffer.toString("latin1", start, start + 8)}${ack ? " ack" : ""}`);
  }

  onGoaway(lastStreamId: number, code: number, debug: string): void {
    this.lines.push(`GOAWAY ${lastStreamId} ${errorCodeName(code)} "${debug}"`);
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.lines.push(`WINDOW_UPDATE ${streamId} ${increment}`);
  }

  onUnknown(type: number): void {
    this.lines.push(`unknown ${type}`);
  }

  onStreamError(streamId: number, code: number, reason: string): void {
    this.lines.push(`stream error ${streamId} ${errorCodeName(code)}: ${reason}`);
  }
}

/** Has a decoder tell `sink` what it makes of octets that come in these pieces. */
export function decodeTo(sink: FrameSink, pieces: Iterable<Uint8Array>, maxFrameSize?: number): void {
  const decoder = new FrameDecoder(sink, { ...limits, ...(maxFrameSize === undefined ? {} : { maxFrameSize }) });
  for (const piece of pieces) decoder.push(Buffer.from(piece));
}

/** What a decoder makes of octets that come in these pieces: a line an event, the last one for an error. */
export function decoded(pieces: Iterable<Uint8Array>, maxFrameSize?: number): string[] {
  const notes = new Notes();
  try {
    decodeTo(notes, pieces, maxFrameSize);
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    notes.lines.push(`error ${errorCodeName(error.code)}: ${error.message}`);
  }
  return notes.lines;
}

/** The octets one by one. */
export function single(octets: Buffer): Buffer[] {
  return Array.from(octets, (_, at) => octets.subarray(at, at + 1));
}

/** Octets cut at ascending places. */
export function cutAt(octets: Buffer, places: readonly number[]): Buffer[] {
  const edges = [0, ...places, octets.length];
  return edges.slice(1).map((edge, at) => octets.subarray(edges[at], edge));
}

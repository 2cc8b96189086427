import { writeString } from "./wire.ts";

/** Octets up to which a loop copies faster than `set`. */
const LOOP_COPY = 8;

/** The header block of a list as it is for one version of the encoder's table: what stands between the slots' values. */
export class RenderedBlock {
  readonly version: number;
  /** Something is spelled out that would be an index if the table had room. */
  readonly starved: boolean;
  /** Octets of all segments. */
  readonly size: number;
  /** One more than there are slots. */
  private readonly segments: readonly Uint8Array[];

  /** `cuts` holds where the value of each slot begins and ends in the block from `start` to `end`. */
  constructor(
    version: number,
    starved: boolean,
    block: Uint8Array,
    start: number,
    end: number,
    cuts: readonly number[],
  ) {
    this.version = version;
    this.starved = starved;
    const edges = [start, ...cuts, end];
    const segments: Uint8Array[] = [];
    let size = 0;
    for (let i = 0; i + 1 < edges.length; i += 2) {
      const segment = new Uint8Array(block.subarray(edges[i], edges[i + 1]));
      segments.push(segment);
      size += segment.length;
    }
    this.segments = segments;
    this.size = size;
  }

  /** Writes the block with these slot values at `at`; returns the offset after it. */
  write(values: readonly string[], out: Buffer, at: number): number {
    const segments = this.segments;
    let next = copy(segments[0], out, at);
    for (let i = 0; i < values.length; i++) {
      next = copy(segments[i + 1], out, writeString(values[i] as string, out, next));
    }
    return next;
  }
}

function copy(segment: Uint8Array | undefined, out: Buffer, at: number): number {
  if (segment === undefined) return at;
  const length = segment.length;
  if (length > LOOP_COPY) {
    out.set(segment, at);
  } else {
    for (let i = 0; i < length; i++) out[at + i] = segment[i] as number;
  }
  return at + length;
}

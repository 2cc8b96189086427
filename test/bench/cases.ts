/** A load that every peer is put under. Sizes are in bytes. */
export type Case = ClosedCase | RateCase | DownloadCase;

/** As many calls in flight as there are streams, each followed by the next. */
export interface ClosedCase {
  readonly kind: "closed";
  readonly id: string;
  readonly generator: "h2load" | "loadgen";
  /** Whether trace context, request id and timeout are the same in each call; h2load can only repeat. */
  readonly metadata: "repeated" | "varying";
  readonly size: number;
  readonly connections: number;
  /** A connection. */
  readonly streams: number;
}

/** Calls at a fixed rate, whether or not earlier ones have been answered. */
export interface RateCase {
  readonly kind: "rate";
  readonly id: string;
  /** Calls a second. */
  readonly rate: number;
  readonly size: number;
  readonly connections: number;
}

/** One large answer. */
export interface DownloadCase {
  readonly kind: "download";
  readonly id: string;
  readonly size: number;
}

const SHAPES = [
  { connections: 1, streams: 100 },
  { connections: 10, streams: 10 },
  { connections: 100, streams: 1 },
] as const;

const LOADS = [
  { generator: "loadgen", metadata: "repeated" },
  { generator: "loadgen", metadata: "varying" },
  { generator: "h2load", metadata: "repeated" },
] as const;

/**
 * What each proxy carries before its first case: what runs for months is not judged by its first second. Node translates what is
 * used often into machine code while it runs, which takes a few seconds of calls of either size.
 */
export const warmUpCases: readonly ClosedCase[] = [
  { connections: 10, streams: 10, size: 100 },
  { connections: 100, streams: 1, size: 16 * 1024 },
].map((shape) => ({ kind: "closed", id: "warm-up", generator: "loadgen", metadata: "varying", ...shape }));

/** Every case, in the order in which they run. */
export function allCases(downloadSize: number): readonly Case[] {
  const closed = LOADS.flatMap(({ generator, metadata }) =>
    [100, 16 * 1024].flatMap((size) =>
      SHAPES.map((shape): ClosedCase => {
        const words = generator === "h2load" ? [generator] : [generator, metadata];
        const id = [...words, sizeName(size), `${shape.connections}x${shape.streams}`].join("-");
        return { kind: "closed", id, generator, metadata, size, ...shape };
      }),
    ),
  );
  const rates = [500, 2_000].map(
    (rate): RateCase => ({ kind: "rate", id: `rate-${rate}`, rate, size: 100, connections: 10 }),
  );
  return [...closed, ...rates, { kind: "download", id: "download", size: downloadSize }];
}

/** "100B", "16KiB", "256MiB", "1GiB". */
export function sizeName(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && value % 1024 === 0 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value}${units[unit]}`;
}

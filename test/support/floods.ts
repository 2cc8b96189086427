import type { BudgetName } from "../../src/http2/limits.ts";
import {
  continuationFrame,
  dataFrame,
  goawayFrame,
  headersFrame,
  pingFrame,
  priorityFrame,
  resetFrame,
  settingsFrame,
  windowFrame,
} from "./frames.ts";
import { integer, PeerEncoder, type PlainField, plain } from "./hpack-peer.ts";
import { frame } from "./raw-frames.ts";

/** Frames that cost their reader work and carry nothing, without end. */
export interface Flood {
  readonly name: string;
  /** What is sent once, before the first piece. */
  readonly opening: Buffer;
  /** Units from number `at` on, in the order in which they have to be sent. */
  readonly units: (at: number, count: number) => Buffer;
  /** Units that are one more than a connection may send at once, and some. */
  readonly enough: number;
  /** What the GOAWAY says that ends it. */
  readonly reason: RegExp;
  /** The limit that ends it. */
  readonly limit: `budgets.${BudgetName}` | "maxContinuations" | "maxHeaderListSize";
}

/** The head of a request to /slow, which nobody answers, or to another path. */
export function pathHead(path: string, ...more: PlainField[]): PlainField[] {
  return [[":method", "POST"], [":scheme", "http"], [":path", path], [":authority", "up"], ...more];
}

/** Blocks without the dynamic table, so that they can be sent in any order. */
export const stateless = new PeerEncoder(4096, () => "none");

const slow = stateless.encode(pathHead("/slow"));

/** A request that is not answered. */
export function slowRequest(stream: number, end = true): Buffer {
  return headersFrame(stream, slow, { end });
}

const many = (at: number, count: number, make: (at: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, more) => make(at + more)));

const same = (unit: Buffer): Flood["units"] => {
  return (_at, count) => Buffer.alloc(unit.length * count, unit);
};

const none = Buffer.alloc(0);
const odd = (at: number): number => 2 * at + 1;
const nameless = stateless.encode([["x", "no pseudo-header"]]);

export const floods: readonly Flood[] = [
  {
    name: "rapid reset",
    opening: none,
    units: (at, count) => many(at, count, (n) => Buffer.concat([slowRequest(odd(n)), resetFrame(odd(n), 8)])),
    enough: 9000,
    reason: /more resets/,
    limit: "budgets.resets",
  },
  {
    name: "SETTINGS",
    opening: none,
    units: same(settingsFrame()),
    enough: 100,
    reason: /more settings/,
    limit: "budgets.settings",
  },
  {
    name: "PING",
    opening: none,
    units: same(pingFrame()),
    enough: 300,
    reason: /more pings/,
    limit: "budgets.pings",
  },
  {
    name: "PRIORITY",
    opening: none,
    units: same(priorityFrame(1, 0)),
    enough: 2500,
    reason: /more priorities/,
    limit: "budgets.priorities",
  },
  {
    name: "empty DATA",
    opening: slowRequest(1, false),
    units: same(dataFrame(1, "")),
    enough: 600,
    reason: /more emptyData/,
    limit: "budgets.emptyData",
  },
  {
    name: "WINDOW_UPDATE",
    opening: none,
    units: same(windowFrame(0, 1)),
    enough: 12_500,
    reason: /more windowUpdates/,
    limit: "budgets.windowUpdates",
  },
  {
    name: "GOAWAY",
    opening: slowRequest(1, false),
    units: same(goawayFrame(0, 0)),
    enough: 20,
    reason: /more goaways/,
    limit: "budgets.goaways",
  },
  {
    name: "unknown frames",
    opening: none,
    units: same(frame(0x42, 0, 0)),
    enough: 300,
    reason: /more unknownFrames/,
    limit: "budgets.unknownFrames",
  },
  {
    name: "streams over the limit",
    opening: none,
    units: (at, count) => many(at, count, (n) => slowRequest(odd(n), false)),
    enough: 2200,
    reason: /more refused/,
    limit: "budgets.refused",
  },
  {
    name: "malformed requests",
    opening: none,
    units: (at, count) => many(at, count, (n) => headersFrame(odd(n), nameless, { end: true })),
    enough: 300,
    reason: /more streamErrors/,
    limit: "budgets.streamErrors",
  },
  {
    name: "CONTINUATION",
    opening: headersFrame(1, none, { whole: false }),
    units: same(continuationFrame(1, none, false)),
    enough: 1000,
    reason: /CONTINUATION/,
    limit: "maxContinuations",
  },
  {
    name: "an endless header block",
    opening: headersFrame(1, Buffer.alloc(16_384, 0x82), { whole: false }),
    units: same(continuationFrame(1, Buffer.alloc(16_384, 0x82), false)),
    enough: 8,
    reason: /header block of more than/,
    limit: "maxHeaderListSize",
  },
];

/** A block that puts 4 KB into the dynamic table, and one whose every octet stands for them: 64 MB. */
export function hpackBomb(path = "/fast"): { readonly first: Buffer; readonly bomb: Buffer } {
  const head = stateless.encode(pathHead(path));
  const insert = [0x40, ...plain("x-bomb"), ...plain("v".repeat(3900))];
  // 62 is the newest entry.
  const all = Buffer.alloc(16_000, integer(62, 0x80, 7)[0]);
  return { first: Buffer.concat([head, Buffer.from(insert)]), bomb: Buffer.concat([head, all]) };
}

/**
 * Nanoseconds a header block, decoded and encoded: `node test/bench/hpack.ts`. "repeated" is a gRPC call's metadata that is the
 * same each time; "varying" has a traceparent, a request id and a timeout of its own in each call, sent with incremental
 * indexing as grpc-go does; "unindexed" sends the same as literals without indexing. A call is a request head, a response head
 * and trailers.
 */
import { defaultHeaderTableLimits, HeaderTable } from "../../src/http/headers.ts";
import { HpackDecoder } from "../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http2/hpack/encoder.ts";
import { type Indexing, PeerEncoder, type PlainField } from "../support/hpack-peer.ts";
import { seededInteger } from "../support/random-integer.ts";

const BLOCKS = 1000;
const ROUNDS = 300;
const LIMITS = { maxTableSize: 4096, maxListSize: 64 * 1024, maxFields: 128 };

const random = seededInteger(1);
const hex = (length: number): string => Array.from({ length }, () => random(16).toString(16)).join("");

const request: PlainField[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/users.v1.UserService/GetUser"],
  [":authority", "user-service:50051"],
  ["content-type", "application/grpc"],
  ["user-agent", "grpc-go/1.70.0"],
  ["te", "trailers"],
];
const response: PlainField[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];
const trailers: PlainField[] = [
  ["grpc-status", "0"],
  ["grpc-message", ""],
];
const varying = (): PlainField[] => [
  ...request,
  ["grpc-timeout", `${100 + random(900)}m`],
  ["traceparent", `00-${hex(32)}-${hex(16)}-01`],
  ["x-request-id", `${hex(8)}-${hex(4)}-${hex(4)}-${hex(4)}-${hex(12)}`],
];

/** The best of some rounds: the machine's noise only ever adds. */
function best(task: () => void, count: number): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.hrtime.bigint();
    task();
    lowest = Math.min(lowest, Number(process.hrtime.bigint() - begin) / count);
  }
  return lowest;
}

function decoding(lists: PlainField[][], indexing?: (field: PlainField) => Indexing): number {
  const table = new HeaderTable();
  const decoder = new HpackDecoder(table, LIMITS);
  const peer = new PeerEncoder(4096, indexing);
  const blocks: Buffer[] = [];
  for (let i = 0; i < BLOCKS; i++) blocks.push(peer.encode(lists[i % lists.length] ?? []));
  // Each round begins with an empty table, as the first block was encoded.
  const restart = Buffer.from([0x20, 0x3f, 0xe1, 0x1f]);
  return best(() => {
    decoder.decode(restart, 0, restart.length);
    for (const block of blocks) decoder.decode(block, 0, block.length);
  }, BLOCKS);
}

function encoding(lists: PlainField[][], limits = defaultHeaderTableLimits): number {
  const table = new HeaderTable(limits);
  const encoder = new HpackEncoder();
  const heads = Array.from({ length: BLOCKS }, (_, i) => table.head(lists[i % lists.length] ?? []));
  const out = Buffer.alloc(64 * 1024);
  return best(() => {
    for (const head of heads) if (encoder.bound(head) < out.length) encoder.encode(head, out, 0);
  }, BLOCKS);
}

const manyVarying = Array.from({ length: BLOCKS }, varying);
const none = (): Indexing => "none";
const notKept = { ...defaultHeaderTableLimits, lists: 0 };

const answers = decoding([response, trailers]) + encoding([response, trailers]);
const rows: [string, number][] = [
  ["decode request, repeated", decoding([request])],
  ["decode request, varying", decoding(manyVarying)],
  ["decode request, repeated, unindexed", decoding([request], none)],
  ["decode request, varying, unindexed", decoding(manyVarying, none)],
  ["decode response or trailers", decoding([response, trailers])],
  ["encode request, repeated", encoding([request])],
  ["encode request, varying", encoding(manyVarying)],
  ["encode request, list not kept", encoding(manyVarying, notKept)],
  ["encode response or trailers", encoding([response, trailers])],
  ["call, repeated", decoding([request]) + encoding([request]) + 2 * answers],
  ["call, varying", decoding(manyVarying) + encoding(manyVarying) + 2 * answers],
];
for (const [what, ns] of rows) process.stdout.write(`${what.padEnd(40)}${ns.toFixed(0).padStart(6)} ns\n`);

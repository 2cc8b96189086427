import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { eachField } from "../../core/protobuf-fields.ts";
import type { BucketAction, BucketId, Strategy, UsageReports } from "./assignment.ts";

/*
 * Envoy's rate limit quota service, in the binary form of the protocol. Field numbers are those of
 * envoy/service/rate_limit_quota/v3/rlqs.proto, envoy/type/v3/ratelimit_strategy.proto and token_bucket.proto.
 */

/** Milliseconds of `RateLimitUnit`, by its number; what is not known is taken for a second. */
const units: Readonly<Record<number, number>> = {
  1: 1000,
  2: 60_000,
  3: 3_600_000,
  4: 86_400_000,
  5: 30 * 86_400_000,
  6: 365 * 86_400_000,
};
/** `BlanketRule.DENY_ALL` */
const DENY_ALL = 1;

/** Writes a `RateLimitQuotaUsageReports`. */
export function encodeReports({ domain, usages }: UsageReports): Buffer {
  const writer = new BinaryWriter();
  if (domain !== undefined) writer.tag(1, WireType.LengthDelimited).string(domain);
  for (const { id, elapsed, allowed, denied } of usages) {
    writer.tag(2, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).fork();
    for (const [key, value] of id) {
      writer.tag(1, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value);
      writer.join();
    }
    writer.join();
    writer.tag(2, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int64(Math.floor(elapsed / 1000));
    writer.tag(2, WireType.Varint).int32(Math.round((elapsed % 1000) * 1e6));
    writer.join();
    writer.tag(3, WireType.Varint).uint64(allowed).tag(4, WireType.Varint).uint64(denied);
    writer.join();
  }
  return Buffer.from(writer.finish());
}

/** Reads a `RateLimitQuotaResponse`: its actions, in their order. Throws where it is no such message. */
export function decodeActions(octets: Uint8Array): readonly BucketAction[] {
  const actions: BucketAction[] = [];
  eachField(octets, { 1: (reader) => decodeAction(reader.bytes(), actions) });
  return actions;
}

function decodeAction(octets: Uint8Array, actions: BucketAction[]): void {
  let id: BucketId = [];
  let found: { readonly strategy: Strategy; readonly ttl: number } | "abandon" | undefined;
  eachField(octets, {
    1: (reader) => {
      id = decodeId(reader.bytes());
    },
    2: (reader) => {
      found = decodeAssignment(reader.bytes());
    },
    3: (reader) => {
      reader.bytes();
      found = "abandon";
    },
  });
  if (found === "abandon") actions.push({ kind: "abandon", id });
  else if (found !== undefined) actions.push({ kind: "assign", id, ...found });
}

function decodeId(octets: Uint8Array): BucketId {
  const entries: [string, string][] = [];
  eachField(octets, {
    1: (reader) => {
      const entry: [string, string] = ["", ""];
      eachField(reader.bytes(), {
        1: (inner) => {
          entry[0] = inner.string();
        },
        2: (inner) => {
          entry[1] = inner.string();
        },
      });
      entries.push(entry);
    },
  });
  return entries;
}

function decodeAssignment(octets: Uint8Array): { readonly strategy: Strategy; readonly ttl: number } {
  let ttl = Number.POSITIVE_INFINITY;
  let strategy: Strategy = { kind: "allow" };
  eachField(octets, {
    2: (reader) => {
      ttl = decodeDuration(reader.bytes());
    },
    3: (reader) => {
      strategy = decodeStrategy(reader.bytes());
    },
  });
  return { strategy, ttl };
}

function decodeStrategy(octets: Uint8Array): Strategy {
  let strategy: Strategy = { kind: "allow" };
  eachField(octets, {
    1: (reader) => {
      strategy = { kind: reader.int32() === DENY_ALL ? "deny" : "allow" };
    },
    2: (reader) => {
      const { 1: amount = 0, 2: unit = 1 } = decodeNumbers(reader.bytes());
      strategy = paceOf(amount, units[unit] ?? 1000, amount);
    },
    3: (reader) => {
      strategy = decodeTokenBucket(reader.bytes());
    },
  });
  return strategy;
}

function decodeTokenBucket(octets: Uint8Array): Strategy {
  let [most, tokens, interval] = [0, 1, 1000];
  eachField(octets, {
    1: (reader) => {
      most = reader.uint32();
    },
    2: (reader) => {
      tokens = decodeNumbers(reader.bytes())[1] ?? 0;
    },
    3: (reader) => {
      interval = decodeDuration(reader.bytes());
    },
  });
  return paceOf(tokens, interval, most);
}

/** No calls at all are no pace. */
function paceOf(amount: number, per: number, burst: number): Strategy {
  return amount > 0 && per > 0 && burst > 0 ? { kind: "pace", pace: { amount, per, burst } } : { kind: "deny" };
}

function decodeDuration(octets: Uint8Array): number {
  const { 1: seconds = 0, 2: nanos = 0 } = decodeNumbers(octets);
  return Math.max(0, seconds * 1000 + nanos / 1e6);
}

/** The fields of whole numbers of a message, by their number. */
function decodeNumbers(octets: Uint8Array): Record<number, number> {
  const numbers: Record<number, number> = {};
  for (const field of [1, 2])
    eachField(octets, {
      [field]: (reader) => {
        numbers[field] = Number(reader.int64());
      },
    });
  return numbers;
}

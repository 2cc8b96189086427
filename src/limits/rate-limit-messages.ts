import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { readFields } from "../core/protobuf-fields.ts";

/** `envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry` */
export type Entry = readonly [key: string, value: string];

/** `envoy.service.ratelimit.v3.RateLimitRequest`: one descriptor, one hit. */
export interface RateLimitQuestion {
  readonly domain: string;
  readonly entries: readonly Entry[];
}

/** What is read of `envoy.service.ratelimit.v3.RateLimitResponse`. */
export interface RateLimitAnswer {
  readonly overLimit: boolean;
  /** `statuses[0].current_limit.requests_per_unit` */
  readonly limit: number | undefined;
  /** `statuses[0].limit_remaining` */
  readonly remaining: number;
  /** `statuses[0].duration_until_reset`, in milliseconds. */
  readonly reset: number | undefined;
}

/** `RateLimitResponse.Code` */
const OVER_LIMIT = 2;

/** In the binary form of the protocol. Field numbers are those of envoy/service/ratelimit/v3/rls.proto. */
export function encodeQuestion({ domain, entries }: RateLimitQuestion): Buffer {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(domain);
  writer.tag(2, WireType.LengthDelimited).fork();
  for (const [key, value] of entries) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
  writer.join();
  writer.tag(3, WireType.Varint).uint32(1);
  return Buffer.from(writer.finish());
}

/** Throws where it is no such message. */
export function decodeAnswer(octets: Uint8Array): RateLimitAnswer {
  let code = 0;
  let status: Omit<RateLimitAnswer, "overLimit"> | undefined;
  readFields(octets, (reader, field) => {
    if (field === 1) code = reader.int32();
    else if (field === 2 && status === undefined) status = decodeStatus(reader.bytes());
    else return false;
    return true;
  });
  return { ...(status ?? { limit: undefined, remaining: 0, reset: undefined }), overLimit: code === OVER_LIMIT };
}

/** `RateLimitResponse.DescriptorStatus` */
function decodeStatus(octets: Uint8Array): Omit<RateLimitAnswer, "overLimit"> {
  let limit: number | undefined;
  let remaining = 0;
  let reset: number | undefined;
  readFields(octets, (reader, field) => {
    if (field === 2) limit = decodeNumber(reader.bytes(), 1);
    else if (field === 3) remaining = reader.uint32();
    else if (field === 4) {
      const duration = reader.bytes();
      reset = decodeNumber(duration, 1) * 1000 + decodeNumber(duration, 2) / 1e6;
    } else return false;
    return true;
  });
  return { limit, remaining, reset };
}

/** A field of whole numbers: `RateLimit.requests_per_unit`, `Duration.seconds` and `nanos`. */
function decodeNumber(octets: Uint8Array, wanted: number): number {
  let value = 0;
  readFields(octets, (reader, field, wire) => {
    if (field !== wanted || wire !== WireType.Varint) return false;
    value = Number(reader.int64());
    return true;
  });
  return value;
}

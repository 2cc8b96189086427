import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { eachField } from "../../src/core/protobuf-fields.ts";
import { type OctetAnswer, type OctetCall, OctetService } from "./octet-service.ts";

/** What was asked, as far as the tests look: the domain and the descriptors. */
export interface Question {
  readonly domain: string;
  readonly descriptors: readonly (readonly (readonly [string, string])[])[];
  readonly hits: number;
}

/** What is answered; undefined: nothing, ever. */
export interface Answer {
  readonly overLimit: boolean;
  readonly limit?: number;
  readonly remaining?: number;
  /** Seconds. */
  readonly reset?: number;
}

/** A small real server of envoy.service.ratelimit.v3.RateLimitService. */
export class RateLimitServer extends OctetService {
  readonly asked: Question[] = [];
  answer: (question: Question) => Answer | undefined = () => ({ overLimit: false });

  constructor() {
    super("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");
  }

  protected onCall(call: OctetCall, done: OctetAnswer): void {
    const question = decode(call.request);
    this.asked.push(question);
    const answer = this.answer(question);
    if (answer !== undefined) done(null, encode(answer));
  }
}

function decode(octets: Uint8Array): Question {
  let domain = "";
  let hits = 0;
  const descriptors: [string, string][][] = [];
  eachField(octets, {
    1: (reader) => {
      domain = reader.string();
    },
    2: (reader) => {
      const entries: [string, string][] = [];
      eachField(reader.bytes(), {
        1: (inner) => {
          const entry: [string, string] = ["", ""];
          eachField(inner.bytes(), {
            1: (field) => {
              entry[0] = field.string();
            },
            2: (field) => {
              entry[1] = field.string();
            },
          });
          entries.push(entry);
        },
      });
      descriptors.push(entries);
    },
    3: (reader) => {
      hits = reader.uint32();
    },
  });
  return { domain, descriptors, hits };
}

function encode({ overLimit, limit, remaining = 0, reset }: Answer): Buffer {
  const code = overLimit ? 2 : 1;
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int32(code);
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).int32(code);
  // RateLimit: requests_per_unit 1, unit 2 (SECOND), name 3, which nobody has asked for.
  if (limit !== undefined) {
    writer.tag(2, WireType.LengthDelimited).fork().tag(3, WireType.LengthDelimited).string("tenant");
    writer.tag(1, WireType.Varint).uint32(limit).tag(2, WireType.Varint).int32(1).join();
  }
  writer.tag(3, WireType.Varint).uint32(remaining);
  if (reset !== undefined) {
    writer.tag(4, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int64(Math.floor(reset));
    writer
      .tag(2, WireType.Varint)
      .int32(Math.round((reset % 1) * 1e9))
      .join();
  }
  writer.join();
  return Buffer.from(writer.finish());
}

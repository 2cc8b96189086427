import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { eachField } from "../../src/core/protobuf-fields.ts";
import { bucketKey } from "../../src/limits/quota/assignment.ts";
import { bindServer } from "./bind-server.ts";

/** What a report says of one bucket. */
export interface ReportedUsage {
  readonly bucket: Readonly<Record<string, string>>;
  readonly elapsed: number;
  readonly allowed: number;
  readonly denied: number;
}

/** A message that came on a stream, from 0 on. */
export interface Report {
  readonly stream: number;
  readonly domain: string;
  readonly usages: readonly ReportedUsage[];
}

/** What is assigned; `ttl` in seconds, undefined: for ever. */
export type Assigned =
  | "allow"
  | "deny"
  | { readonly requests: number; readonly unit: number }
  | { readonly tokens: number; readonly perFill: number; readonly fillMs: number };

type Stream = ServerDuplexStream<Buffer, Buffer>;
const same = (value: Buffer): Buffer => value;

/** A small real server of envoy.service.rate_limit_quota.v3.RateLimitQuotaService, which a test tells what to assign. */
export class QuotaServer {
  address = "";
  readonly reports: Report[] = [];
  private server = new Server();
  private readonly streams: Stream[] = [];
  private open: Stream | undefined = undefined;

  async start(port = 0): Promise<void> {
    this.server = new Server();
    const path = "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas";
    const codec = {
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    };
    this.server.addService(
      { quotas: { path, requestStream: true, responseStream: true, ...codec } },
      { quotas: (stream: Stream) => this.onStream(stream) },
    );
    const bound = await bindServer(this.server, `127.0.0.1:${port}`);
    this.address = `127.0.0.1:${bound}`;
  }

  stop(): void {
    this.server.forceShutdown();
  }

  /** Streams that were opened. */
  get opened(): number {
    return this.streams.length;
  }

  /** Ends the stream that is open, as a server does that is deployed anew. */
  end(): void {
    this.open?.end();
  }

  assign(bucket: Readonly<Record<string, string>>, what: Assigned, ttl?: number): void {
    const writer = new BinaryWriter();
    writer.tag(1, WireType.LengthDelimited).fork();
    writeBucket(writer, bucket);
    writer.tag(2, WireType.LengthDelimited).fork();
    if (ttl !== undefined) {
      writer.tag(2, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.Varint).int64(Math.floor(ttl));
      writer
        .tag(2, WireType.Varint)
        .int32(Math.round((ttl % 1) * 1e9))
        .join();
    }
    writer.tag(3, WireType.LengthDelimited).fork();
    writeStrategy(writer, what);
    writer.join();
    writer.join();
    writer.join();
    this.open?.write(Buffer.from(writer.finish()));
  }

  abandon(bucket: Readonly<Record<string, string>>): void {
    const writer = new BinaryWriter();
    writer.tag(1, WireType.LengthDelimited).fork();
    writeBucket(writer, bucket);
    writer.tag(3, WireType.LengthDelimited).fork().join();
    writer.join();
    this.open?.write(Buffer.from(writer.finish()));
  }

  /** Octets that are no message. */
  talkNonsense(): void {
    this.open?.write(Buffer.from([0xff, 0xff, 0xff]));
  }

  /** What was reported of a bucket, all reports together. */
  sumOf(bucket: Readonly<Record<string, string>>): { allowed: number; denied: number } {
    const sum = { allowed: 0, denied: 0 };
    const wanted = bucketKey(Object.entries(bucket));
    for (const { usages } of this.reports)
      for (const usage of usages) {
        if (bucketKey(Object.entries(usage.bucket)) !== wanted) continue;
        sum.allowed += usage.allowed;
        sum.denied += usage.denied;
      }
    return sum;
  }

  private onStream(stream: Stream): void {
    const at = this.streams.push(stream) - 1;
    this.open = stream;
    stream.on("data", (octets: Buffer) => this.reports.push(decode(octets, at)));
    stream.on("error", () => {});
    stream.on("end", () => stream.end());
  }
}

function writeBucket(writer: BinaryWriter, bucket: Readonly<Record<string, string>>): void {
  writer.tag(1, WireType.LengthDelimited).fork();
  // The order says nothing: here it is the other one than it came in.
  for (const [key, value] of Object.entries(bucket).reverse()) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value);
    writer.join();
  }
  writer.join();
}

function writeStrategy(writer: BinaryWriter, what: Assigned): void {
  if (typeof what === "string") writer.tag(1, WireType.Varint).int32(what === "deny" ? 1 : 0);
  else if ("requests" in what) {
    writer.tag(2, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).uint64(what.requests).tag(2, WireType.Varint).int32(what.unit).join();
  } else {
    writer.tag(3, WireType.LengthDelimited).fork().tag(1, WireType.Varint).uint32(what.tokens);
    writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.Varint).uint32(what.perFill).join();
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(2, WireType.Varint).int32(what.fillMs * 1e6);
    writer.join().join();
  }
}

function decode(octets: Uint8Array, stream: number): Report {
  let domain = "";
  const usages: ReportedUsage[] = [];
  eachField(octets, {
    1: (reader) => {
      domain = reader.string();
    },
    2: (reader) => usages.push(decodeUsage(reader.bytes())),
  });
  return { stream, domain, usages };
}

function decodeUsage(octets: Uint8Array): ReportedUsage {
  const bucket: Record<string, string> = {};
  let [elapsed, allowed, denied] = [0, 0, 0];
  eachField(octets, {
    1: (reader) =>
      eachField(reader.bytes(), {
        1: (entry) => {
          let [key, value] = ["", ""];
          eachField(entry.bytes(), {
            1: (field) => {
              key = field.string();
            },
            2: (field) => {
              value = field.string();
            },
          });
          bucket[key] = value;
        },
      }),
    2: (reader) =>
      eachField(reader.bytes(), {
        1: (field) => {
          elapsed += Number(field.int64()) * 1000;
        },
        2: (field) => {
          elapsed += field.int32() / 1e6;
        },
      }),
    3: (reader) => {
      allowed = Number(reader.uint64());
    },
    4: (reader) => {
      denied = Number(reader.uint64());
    },
  });
  return { bucket, elapsed, allowed, denied };
}

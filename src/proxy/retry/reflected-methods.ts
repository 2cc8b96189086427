import type { Logger } from "pino";
import { askPool } from "../../cluster/pool/ask-pool.ts";
import type { Pool } from "../../cluster/pool/pool.ts";
import { version } from "../../core/version.ts";
import { LONGEST_METHOD } from "../../http/call-match.ts";
import { formatTimeout, parseStatus } from "../../http/grpc.ts";
import { Status, statusName } from "../../http/reason.ts";
import type { Http2Services } from "../../http2/connection.ts";
import { readLevels } from "./idempotency-level.ts";
import type { Idempotence, MethodKnowledge } from "./idempotent-methods.ts";

/** Milliseconds within which an upstream has to answer, and after which one that did not is asked again. */
const TIMEOUT = 5_000;
const AGAIN = 60_000;
/** Milliseconds after which one that has answered is asked again: another version of it may say otherwise. */
const REFRESH = 600_000;
/** Octets of descriptors that are read of one service, and services that are asked about. */
const MAX_ANSWER = 4_194_304;
const MAX_SERVICES = 200;
const PROTOCOLS = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/** What asking a server for its descriptors needs. */
export interface ReflectionServices {
  readonly http2: Http2Services;
  readonly log: Logger;
}

/**
 * The idempotent methods of an upstream by its own word: its reflection service is asked for a service when that is first called,
 * in the background, and from time to time after that. Until it has answered no method of it is known to be idempotent; once it has,
 * that holds until it answers otherwise.
 */
export class ReflectedMethods implements MethodKnowledge {
  private readonly pool: () => Pool | undefined;
  private readonly services: ReflectionServices;
  private readonly methods = new Map<string, Idempotence>();
  /** When a service may be asked about, in milliseconds of the clock. */
  private readonly asked = new Map<string, number>();
  private readonly answered = new Set<string>();
  /** When the first of those is to be asked about again. */
  private due = Number.POSITIVE_INFINITY;

  /** `pool`: of an instance that can be asked now. */
  constructor(pool: () => Pool | undefined, services: ReflectionServices) {
    this.pool = pool;
    this.services = services;
  }

  of(path: string): Idempotence | undefined {
    const now = this.services.http2.loop.now();
    if (now >= this.due) this.refresh(now);
    const known = this.methods.get(path);
    if (known !== undefined) return known;
    if (path.length > LONGEST_METHOD) return undefined;
    const service = path.slice(1, path.lastIndexOf("/"));
    const due = this.asked.get(service) ?? (this.asked.size < MAX_SERVICES ? 0 : Number.POSITIVE_INFINITY);
    if (due <= now) this.begin(service, now);
    return undefined;
  }

  private refresh(now: number): void {
    for (const service of this.answered) if ((this.asked.get(service) ?? 0) <= now) this.begin(service, now);
    this.due = this.nextRefresh();
  }

  private nextRefresh(): number {
    return Math.min(...[...this.answered].map((service) => this.asked.get(service) ?? 0));
  }

  private begin(service: string, now: number): void {
    const pool = this.pool();
    // Where nobody can be asked, somebody can be soon: what is known already has time.
    if (pool !== undefined || this.answered.has(service)) this.asked.set(service, now + AGAIN);
    if (pool !== undefined) void this.ask(service, pool);
  }

  private async ask(service: string, pool: Pool): Promise<void> {
    const { log, http2 } = this.services;
    let why = "";
    for (const protocol of PROTOCOLS) {
      const answer = await this.question(protocol, service, pool);
      if (typeof answer !== "string") {
        const found = await read(answer);
        if (typeof found !== "string") {
          this.take(service, found, http2.loop.now());
          return;
        }
        why = found;
        break;
      }
      why = answer;
      if (answer !== statusName(Status.UNIMPLEMENTED)) break;
    }
    const holds = this.answered.has(service) ? "what it said before holds" : "none is taken for it";
    log.warn({ asked: service, why }, `reflection does not say which methods are idempotent: ${holds}`);
  }

  private take(service: string, found: ReadonlyMap<string, Idempotence>, now: number): void {
    for (const path of this.methods.keys()) if (path.startsWith(`/${service}/`)) this.methods.delete(path);
    for (const [path, idempotence] of found) this.methods.set(path, idempotence);
    this.answered.add(service);
    this.asked.set(service, now + REFRESH);
    this.due = this.nextRefresh();
  }

  /** The octets of the answer, or why there are none. */
  private question(protocol: string, service: string, pool: Pool): Promise<Buffer | string> {
    const fields = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", `/${protocol}/ServerReflectionInfo`],
      [":authority", "localhost"],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["user-agent", `outrigger/${version}`],
      ["grpc-timeout", formatTimeout(TIMEOUT)],
    ] as const;
    return askPool<Buffer | string>(
      pool,
      {
        fields,
        body: encodeQuestion(service),
        most: MAX_ANSWER,
        onHead: () => undefined,
        onEnd(octets, last) {
          const status = parseStatus(last.get("grpc-status"));
          return status === Status.OK ? octets : statusName(status);
        },
        onFailure: (message) => message,
      },
      TIMEOUT,
      this.services.http2,
    );
  }
}

/** The methods of the file descriptors of a ServerReflectionResponse, or what is wrong with it. */
async function read(octets: Buffer): Promise<ReadonlyMap<string, Idempotence> | string> {
  const { fromBinary } = await import("@bufbuild/protobuf");
  const { BinaryReader } = await import("@bufbuild/protobuf/wire");
  const { FileDescriptorProtoSchema } = await import("@bufbuild/protobuf/wkt");
  const methods = new Map<string, Idempotence>();
  try {
    const reader = new BinaryReader(octets.subarray(5, 5 + octets.readUInt32BE(1)));
    let found = false;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field !== FILE_DESCRIPTORS) {
        reader.skip(type);
        continue;
      }
      const files = new BinaryReader(reader.bytes());
      while (files.pos < files.len) {
        files.tag();
        readLevels(fromBinary(FileDescriptorProtoSchema, files.bytes()), "by the reflection of its server", methods);
      }
      found = true;
    }
    return found ? methods : "the server does not know the service";
  } catch (error) {
    return `the answer is malformed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Fields of ServerReflectionRequest and ServerReflectionResponse. */
const FILE_CONTAINING_SYMBOL = 4;
const FILE_DESCRIPTORS = 4;

/** A ServerReflectionRequest for the file that has a service, in its gRPC envelope. A service's name has less than 128 octets or is cut. */
function encodeQuestion(service: string): Buffer {
  const name = Buffer.from(service).subarray(0, 127);
  const body = Buffer.concat([Buffer.from([(FILE_CONTAINING_SYMBOL << 3) | 2, name.length]), name]);
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(body.length, 1);
  return Buffer.concat([envelope, body]);
}

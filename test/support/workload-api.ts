import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Server, ServerCredentials, type ServerWritableStream, status } from "@grpc/grpc-js";
import type { Material } from "../../src/identity/material.ts";

type Stream = ServerWritableStream<Buffer, Buffer>;

/** One `X509SVID` of an answer, as material with its id. */
export interface ServedSvid {
  readonly id: string;
  readonly material: Material;
}

/**
 * A SPIFFE Workload API that does what the test says, in the real protocol (workload.proto) over a unix socket. Refuses who does
 * not send the header that SPIFFE demands.
 */
export class WorkloadApi {
  readonly socket: string;
  /** Questions that were asked, and those that were refused for their header. */
  asked = 0;
  refused = 0;
  private readonly server: Server;
  private readonly folder: string;
  private readonly streams = new Set<Stream>();
  private answer: Buffer | undefined = undefined;

  private constructor(server: Server, folder: string, socket: string) {
    this.server = server;
    this.folder = folder;
    this.socket = socket;
  }

  static async start(): Promise<WorkloadApi> {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-test-"));
    const server = new Server();
    const api = new WorkloadApi(server, folder, join(folder, "agent.sock"));
    const octets = (value: Buffer): Buffer => value;
    const fetchX509Svid = {
      path: "/SpiffeWorkloadAPI/FetchX509SVID",
      requestStream: false,
      responseStream: true,
      requestSerialize: octets,
      requestDeserialize: octets,
      responseSerialize: octets,
      responseDeserialize: octets,
    };
    server.addService({ fetchX509Svid }, { fetchX509Svid: (stream: Stream) => api.take(stream) });
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${api.socket}`, ServerCredentials.createInsecure(), (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
    return api;
  }

  /** What is answered from now on; whoever has asked already gets it as well. */
  serve(svids: readonly ServedSvid[], federated: Readonly<Record<string, string>> = {}): void {
    this.answer = encode(svids, federated);
    for (const stream of this.streams) stream.write(this.answer);
  }

  /** What is answered. */
  get said(): Buffer | undefined {
    return this.answer;
  }

  /** Octets that may be no answer at all, from now on and to whoever has asked already; undefined: nothing is answered. */
  say(octets: Buffer | undefined): void {
    this.answer = octets;
    if (octets !== undefined) for (const stream of this.streams) stream.write(octets);
  }

  /** Ends every stream, as an agent that is restarted does. */
  breakOff(): void {
    for (const stream of this.streams) stream.emit("error", { code: status.UNAVAILABLE, details: "restarting" });
    this.streams.clear();
  }

  async stop(): Promise<void> {
    this.server.forceShutdown();
    await rm(this.folder, { recursive: true, force: true });
  }

  private take(stream: Stream): void {
    this.asked++;
    if (stream.metadata.get("workload.spiffe.io")[0] !== "true") {
      this.refused++;
      stream.emit("error", { code: status.INVALID_ARGUMENT, details: "security header missing from request" });
      return;
    }
    this.streams.add(stream);
    stream.on("cancelled", () => this.streams.delete(stream));
    if (this.answer !== undefined) stream.write(this.answer);
  }
}

/** X509SVIDResponse of workload.proto. */
function encode(svids: readonly ServedSvid[], federated: Readonly<Record<string, string>>): Buffer {
  const writer = new BinaryWriter();
  for (const { id, material } of svids) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(id);
    writer.tag(2, WireType.LengthDelimited).bytes(der(material.certificate));
    writer.tag(3, WireType.LengthDelimited).bytes(der(material.key));
    writer.tag(4, WireType.LengthDelimited).bytes(der(material.authorities));
    writer.tag(5, WireType.LengthDelimited).string("a hint");
    writer.join();
  }
  for (const [domain, pem] of Object.entries(federated)) {
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(`spiffe://${domain}`);
    writer.tag(2, WireType.LengthDelimited).bytes(der(pem));
    writer.join();
  }
  return Buffer.from(writer.finish());
}

/** The octets of PEM blocks, one after the other. */
function der(pem: string): Buffer {
  const blocks = [...pem.matchAll(/-----BEGIN [^-]+-----([^-]+)-----END/g)];
  return Buffer.concat(blocks.map(([, text = ""]) => Buffer.from(text, "base64")));
}

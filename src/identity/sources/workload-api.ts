import type { ClientReadableStream } from "@grpc/grpc-js";
import { Backoff } from "../../core/backoff.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import type { IdentitySource, Material, MaterialTaker } from "../material.ts";
import { derToPem, pemBlock } from "../pem.ts";
import { type IdPattern, parseSpiffeId } from "../spiffe.ts";
import { readSvids, type Svid, type SvidResponse } from "../workload-message.ts";

type Grpc = typeof import("@grpc/grpc-js");

const METHOD = "/SpiffeWorkloadAPI/FetchX509SVID";
/** Milliseconds without an answer to the first question after which that is told. */
const PATIENCE = 5000;

/**
 * Certificates of the SPIFFE Workload API, as SPIRE's agent serves it on a unix socket: a stream that brings all of them
 * whenever one changes.
 */
export class WorkloadApiIdentity implements IdentitySource {
  readonly kind = "spiffe";
  private readonly socket: string;
  private readonly own: readonly IdPattern[];
  private readonly clock: Clock;
  private readonly backoff: Backoff;
  private grpc: Grpc | undefined = undefined;
  private client: InstanceType<Grpc["Client"]> | undefined = undefined;
  private stream: ClientReadableStream<SvidResponse> | undefined = undefined;
  private taker: MaterialTaker | undefined = undefined;
  private timer: Timer | undefined = undefined;

  /** `own`: which certificate is taken where the API has several. */
  constructor(socket: string, own: readonly IdPattern[], clock: Clock, random: () => number) {
    this.socket = socket;
    this.own = own;
    this.clock = clock;
    this.backoff = new Backoff({ base: 500, cap: 30_000, random });
  }

  async start(taker: MaterialTaker): Promise<void> {
    this.taker = taker;
    this.grpc = await import("@grpc/grpc-js");
    this.timer = this.clock.setTimer(PATIENCE, () => this.taker?.failed(`${this.socket} does not answer`));
    this.open();
  }

  renew(): void {
    this.stream?.cancel();
  }

  async close(): Promise<void> {
    this.taker = undefined;
    this.timer?.cancel();
    this.stream?.cancel();
    this.client?.close();
  }

  private open(): void {
    const { grpc } = this;
    if (grpc === undefined || this.taker === undefined) return;
    this.client ??= new grpc.Client(`unix:${this.socket}`, grpc.credentials.createInsecure(), {
      "grpc.default_authority": "localhost",
      "grpc.max_receive_message_length": 16 * 1024 * 1024,
    });
    const metadata = new grpc.Metadata();
    // SPIFFE Workload Endpoint §6.2.2: without it a server refuses, so that no browser or proxy asks by accident.
    metadata.set("workload.spiffe.io", "true");
    const stream = this.client.makeServerStreamRequest(METHOD, () => Buffer.alloc(0), readSvids, undefined, metadata);
    this.stream = stream;
    let over = false;
    const again = (why: string | undefined): void => {
      if (over) return;
      over = true;
      if (why !== undefined) this.taker?.failed(why);
      this.timer?.cancel();
      this.timer = this.clock.setTimer(100 + this.backoff.next(), () => this.open());
    };
    stream.on("data", (response: SvidResponse) => {
      this.timer?.cancel();
      const material = materialOf(response, this.own);
      if (typeof material === "string") {
        this.taker?.failed(material);
        return;
      }
      this.backoff.reset();
      this.taker?.take(material);
    });
    stream.on("error", (error) => again(this.stream === stream && isCancelled(error) ? undefined : error.message));
    stream.on("end", () => again("the Workload API ended the stream"));
  }
}

/** CANCELLED: we asked for it, to begin anew. */
function isCancelled(error: Error): boolean {
  return "code" in error && error.code === 1;
}

/** The material in an answer; a string says why there is none. */
export function materialOf(response: SvidResponse, own: readonly IdPattern[]): Material | string {
  const isOwn = ({ id }: Svid): boolean => {
    const parsed = parseSpiffeId(id);
    return typeof parsed !== "string" && own.some((pattern) => pattern.matches(parsed));
  };
  // The first one is the default identity; it is refused later, by name, where it is not ours.
  const svid = response.svids.find(isOwn) ?? response.svids[0];
  if (svid === undefined) return "the Workload API has no identity for this process";
  const certificate = derToPem(svid.certificates);
  const authorities = derToPem(svid.bundle);
  if (typeof certificate === "string") return `its certificate is broken: ${certificate}`;
  if (typeof authorities === "string") return `its bundle is broken: ${authorities}`;
  const federated = new Map<string, string>();
  for (const [domain, der] of response.federated) {
    const pem = derToPem(der);
    if (typeof pem === "string") return `the bundle of ${domain} is broken: ${pem}`;
    federated.set(domain.replace(/^spiffe:\/\//, ""), pem.join(""));
  }
  return {
    certificate: certificate.join(""),
    key: pemBlock("PRIVATE KEY", svid.key),
    authorities: authorities.join(""),
    federated,
    revoked: response.crl.length === 0 ? undefined : response.crl.map((der) => pemBlock("X509 CRL", der)).join(""),
  };
}

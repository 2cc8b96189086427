import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { PeerEncoder } from "./hpack-peer.ts";
import { seededRandom } from "./random.ts";
import { FrameReader, frame, type RawFrame, word } from "./raw-frames.ts";

/** How a connection is ended, once it has had its share of requests or has been idle. */
export type Goodbye =
  /** GOAWAY that allows everything, then, when it has been seen, one with the last stream (RFC 9113 §6.8). */
  | "twoSteps"
  /** GOAWAY with a stream below some that have come already: those are not looked at. */
  | "oneStep"
  /** FIN, without a word. */
  | "rude";

export interface RecyclingOptions {
  readonly goodbye: Goodbye;
  /** Requests that a connection takes. */
  readonly share?: number;
  /** Milliseconds at most, drawn by lot, without a request after which it ends a connection. */
  readonly idle?: number;
  /** `idle` is what it says, and not drawn by lot. */
  readonly exactly?: boolean;
  /** Milliseconds at most, drawn by lot, that a request takes. */
  readonly delay: number;
}

/** What the server's thread tells when it is asked. */
interface Report {
  readonly executions: ReadonlyMap<string, number>;
  readonly connections: number;
}

const HIGHEST = 2 ** 31 - 1;

/**
 * An HTTP/2 server that ends its connections again and again, and counts what it executes. It has a thread of its own, so that
 * it and its callers race as two processes do, and nothing of our engine.
 */
export class RecyclingServer {
  readonly address: string;
  private readonly worker: Worker;

  private constructor(address: string, worker: Worker) {
    this.address = address;
    this.worker = worker;
  }

  static async listen(options: RecyclingOptions): Promise<RecyclingServer> {
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    const [port]: unknown[] = await once(worker, "message");
    return new RecyclingServer(`127.0.0.1:${String(port)}`, worker);
  }

  async report(): Promise<Report> {
    this.worker.postMessage("report");
    const [report] = await once(this.worker, "message");
    return report;
  }

  async close(): Promise<void> {
    await this.worker.terminate();
  }
}

function serve(options: RecyclingOptions): void {
  const executions = new Map<string, number>();
  const random = seededRandom(1);
  let connections = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    connections++;
    new Recycled(socket, options, random, (id) => executions.set(id, (executions.get(id) ?? 0) + 1));
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("the server does not listen");
    parentPort?.postMessage(address.port);
  });
  parentPort?.on("message", () => parentPort?.postMessage({ executions, connections } satisfies Report));
}

class Recycled {
  private readonly socket: Socket;
  private readonly options: RecyclingOptions;
  private readonly random: () => number;
  private readonly execute: (id: string) => void;
  private readonly reader = new FrameReader();
  private readonly encoder = new PeerEncoder();
  /** Requests that have not been answered. */
  private readonly bodies = new Map<number, Buffer[]>();
  private highestBegun = 0;
  private prefaceLeft = CLIENT_PREFACE.length;
  private requests = 0;
  private highest = 0;
  /** Streams above it are not looked at. */
  private last = HIGHEST;
  private phase: "open" | "leaving" | "ended" = "open";
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(socket: Socket, options: RecyclingOptions, random: () => number, execute: (id: string) => void) {
    this.socket = socket;
    this.options = options;
    this.random = random;
    this.execute = execute;
    socket.on("data", (chunk: Buffer) => this.take(chunk));
    socket.on("error", () => {});
    socket.on("close", () => clearTimeout(this.timer));
    this.write(frame(FrameType.SETTINGS, 0, 0));
  }

  private take(chunk: Buffer): void {
    const skipped = Math.min(this.prefaceLeft, chunk.length);
    this.prefaceLeft -= skipped;
    for (const one of this.reader.push(chunk.subarray(skipped))) this.takeFrame(one);
  }

  private takeFrame({ type, flags, stream, payload }: RawFrame): void {
    if (this.phase === "ended") return;
    switch (type) {
      case FrameType.SETTINGS:
        if ((flags & Flag.ACK) === 0) this.write(frame(FrameType.SETTINGS, Flag.ACK, 0));
        return;
      case FrameType.PING:
        if ((flags & Flag.ACK) === 0) this.write(frame(FrameType.PING, Flag.ACK, 0, payload));
        else this.secondStep();
        return;
      case FrameType.HEADERS:
        this.highest = Math.max(this.highest, stream);
        if (stream <= this.last) this.bodies.set(stream, []);
        return;
      case FrameType.DATA:
        if (payload.length > 0) this.write(frame(FrameType.WINDOW_UPDATE, 0, 0, word(payload.length)));
        this.bodies.get(stream)?.push(payload);
        if ((flags & Flag.END_STREAM) !== 0 && this.bodies.has(stream)) this.request(stream);
    }
  }

  private request(stream: number): void {
    this.requests++;
    clearTimeout(this.timer);
    // What was heard before its connection said goodbye, and was not begun, is not begun any more.
    setTimeout(() => this.run(stream), (this.random() * this.options.delay) / 2);
    if (this.requests === this.options.share) this.leave();
  }

  private run(stream: number): void {
    const body = Buffer.concat(this.bodies.get(stream) ?? []);
    if (stream > this.last || this.phase === "ended") return;
    this.highestBegun = Math.max(this.highestBegun, stream);
    this.execute(body.toString("utf8", 5));
    setTimeout(() => this.answer(stream, body), (this.random() * this.options.delay) / 2);
  }

  private answer(stream: number, body: Buffer): void {
    if (this.phase === "ended") return;
    this.bodies.delete(stream);
    const head = this.encoder.encode([
      [":status", "200"],
      ["content-type", "application/grpc"],
    ]);
    const trailers = this.encoder.encode([["grpc-status", "0"]]);
    this.write(
      Buffer.concat([
        frame(FrameType.HEADERS, Flag.END_HEADERS, stream, head),
        frame(FrameType.DATA, 0, stream, body),
        frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream, trailers),
      ]),
    );
    this.endWhenIdle();
    const { idle, exactly } = this.options;
    if (idle === undefined || this.bodies.size > 0 || this.phase !== "open") return;
    this.timer = setTimeout(() => this.leave(), exactly === true ? idle : this.random() * idle);
  }

  private leave(): void {
    if (this.phase !== "open") return;
    this.phase = "leaving";
    switch (this.options.goodbye) {
      case "twoSteps":
        this.goaway(HIGHEST);
        this.write(frame(FrameType.PING, 0, 0, Buffer.from("farewell")));
        return;
      case "oneStep": {
        // What has not been begun is not looked at any more.
        this.last = this.highestBegun;
        for (const stream of this.bodies.keys()) if (stream > this.last) this.bodies.delete(stream);
        this.goaway(this.last);
        this.endWhenIdle();
        return;
      }
      case "rude":
        this.phase = "ended";
        this.socket.end();
    }
  }

  private secondStep(): void {
    if (this.phase !== "leaving") return;
    this.last = this.highest;
    this.goaway(this.last);
    this.endWhenIdle();
  }

  private endWhenIdle(): void {
    if (this.phase !== "leaving" || this.last === HIGHEST || this.bodies.size > 0) return;
    this.phase = "ended";
    this.socket.end();
  }

  private goaway(last: number): void {
    this.write(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(last), word(0), Buffer.from("recycled")])));
  }

  private write(octets: Uint8Array): void {
    if (this.socket.writable) this.socket.write(octets);
  }
}

if (!isMainThread && workerData?.goodbye !== undefined) serve(workerData);

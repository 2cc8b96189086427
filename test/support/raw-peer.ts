import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { PeerEncoder, type PlainField } from "./hpack-peer.ts";
import { FrameReader, frame, frameName, type RawFrame, word } from "./raw-frames.ts";
import { type RawField, RawHpackDecoder } from "./raw-hpack.ts";

/** What a peer said, a frame at a time; a header block is one message however many frames it came in. */
export type RawMessage =
  | { readonly kind: "headers"; readonly stream: number; readonly fields: readonly RawField[]; readonly end: boolean }
  | { readonly kind: "data"; readonly stream: number; readonly data: Buffer; readonly end: boolean }
  | { readonly kind: "reset"; readonly stream: number; readonly code: number }
  | {
      readonly kind: "settings";
      readonly stream: 0;
      readonly values: ReadonlyMap<number, number>;
      readonly ack: boolean;
    }
  | { readonly kind: "ping"; readonly stream: 0; readonly payload: Buffer; readonly ack: boolean }
  | {
      readonly kind: "goaway";
      readonly stream: 0;
      readonly last: number;
      readonly code: number;
      readonly debug: string;
    }
  | { readonly kind: "window"; readonly stream: number; readonly increment: number }
  | { readonly kind: "other"; readonly stream: number; readonly frame: RawFrame }
  | { readonly kind: "closed"; readonly stream: 0; readonly error: string | undefined };

type Kind = RawMessage["kind"];
type Of<K extends Kind> = Extract<RawMessage, { readonly kind: K }>;

export interface RawPeerOptions {
  /** SETTINGS that are announced, by identifier. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** Announces itself as a sidecar. */
  readonly sidecar?: boolean;
  /** DATA is credited as it comes; where it is not, the test does. Default true. */
  readonly credit?: boolean;
  /** Octets of DATA are counted, but not kept. */
  readonly discard?: boolean;
  /** Sends its preface and SETTINGS, and acknowledges SETTINGS and PING. Default true. */
  readonly polite?: boolean;
  /** Acknowledges PING. Default true. */
  readonly pong?: boolean;
}

/** The whole answer to a request. */
export interface RawAnswer {
  readonly interim: readonly (readonly RawField[])[];
  readonly head: readonly RawField[];
  readonly data: Buffer;
  readonly trailers: readonly RawField[] | undefined;
  /** The code of an RST_STREAM that came, before the end or after. */
  readonly reset: number | undefined;
}

/** Milliseconds that a message is waited for. */
const PATIENCE = 5000;

/** An HTTP/2 peer that does what the test says, frame by frame, over a socket. Not related to our engine. */
export class RawPeer {
  readonly socket: Socket;
  /** All that came, in order. */
  readonly received: RawMessage[] = [];
  private readonly options: RawPeerOptions;
  private readonly reader = new FrameReader();
  private readonly decoder = new RawHpackDecoder();
  private readonly encoder = new PeerEncoder();
  private readonly taken = new Set<RawMessage>();
  private readonly waiting = new Set<() => void>();
  private block: { readonly stream: number; readonly end: boolean; readonly parts: Buffer[] } | undefined = undefined;
  private prefaceLeft: number;
  private nextStream = 1;
  /** Octets of DATA that were not kept. */
  discarded = 0;

  constructor(socket: Socket, role: "client" | "server", options: RawPeerOptions = {}) {
    this.socket = socket;
    this.options = options;
    this.prefaceLeft = role === "server" ? CLIENT_PREFACE.length : 0;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.take(chunk));
    socket.on("error", (error) => this.push({ kind: "closed", stream: 0, error: error.message }));
    socket.on("close", () => this.push({ kind: "closed", stream: 0, error: undefined }));
    if (options.polite === false) return;
    if (role === "client") this.write(CLIENT_PREFACE);
    this.settings([
      ...(options.settings ?? []),
      ...(options.sidecar === true ? [[SettingId.OUTRIGGER, 1] as const] : []),
    ]);
  }

  /** Connects as a client to HOST:PORT. */
  static async connect(address: string, options: RawPeerOptions = {}): Promise<RawPeer> {
    const colon = address.lastIndexOf(":");
    const socket = connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
    await once(socket, "connect");
    return new RawPeer(socket, "client", options);
  }

  // --- saying ---

  write(octets: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(octets);
  }

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    const payload = Buffer.alloc(values.length * 6);
    for (const [at, [id, value]] of values.entries()) {
      payload.writeUInt16BE(id, at * 6);
      payload.writeUInt32BE(value, at * 6 + 2);
    }
    this.write(frame(FrameType.SETTINGS, 0, 0, payload));
  }

  headers(stream: number, fields: Iterable<PlainField>, end = false): void {
    const block = this.encoder.encode(fields);
    const most = 16_384;
    const last = (to: number): number => (to >= block.length ? Flag.END_HEADERS : 0);
    const frames = [
      frame(FrameType.HEADERS, last(most) | (end ? Flag.END_STREAM : 0), stream, block.subarray(0, most)),
    ];
    for (let at = most; at < block.length; at += most)
      frames.push(frame(FrameType.CONTINUATION, last(at + most), stream, block.subarray(at, at + most)));
    this.write(Buffer.concat(frames));
  }

  data(stream: number, octets: Uint8Array, end = false): void {
    this.write(frame(FrameType.DATA, end ? Flag.END_STREAM : 0, stream, octets));
  }

  reset(stream: number, code: number): void {
    this.write(frame(FrameType.RST_STREAM, 0, stream, word(code)));
  }

  window(stream: number, increment: number): void {
    this.write(frame(FrameType.WINDOW_UPDATE, 0, stream, word(increment)));
  }

  goaway(last: number, code = 0, debug = ""): void {
    this.write(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([word(last), word(code), Buffer.from(debug)])));
  }

  ping(text: string): void {
    this.write(frame(FrameType.PING, 0, 0, Buffer.from(text.padEnd(8).slice(0, 8))));
  }

  /** Acknowledges a PING. */
  pong(payload: Buffer): void {
    this.write(frame(FrameType.PING, Flag.ACK, 0, payload));
  }

  /** As a client: opens the next stream. */
  request(fields: Iterable<PlainField>, end = false): number {
    const stream = this.nextStream;
    this.nextStream += 2;
    this.headers(stream, fields, end);
    return stream;
  }

  /** Ends the connection in good order. */
  end(): void {
    this.socket.end();
  }

  /** Ends the connection as a crash does: with a TCP reset. */
  destroy(): void {
    if (!this.socket.destroyed) this.socket.resetAndDestroy();
  }

  // --- hearing ---

  /** The first message of a kind, of a stream where one is given, that was not taken before; waits for it. */
  async next<K extends Kind>(kind: K, stream?: number, patience = PATIENCE): Promise<Of<K>> {
    return await this.find(
      (message): message is Of<K> => isKind(message, kind, stream),
      patience,
      `${kind} ${stream ?? ""}`,
    );
  }

  /** The next request, as a server. */
  async nextRequest(patience = PATIENCE): Promise<Of<"headers">> {
    return await this.next("headers", undefined, patience);
  }

  /** The answer on a stream, until it is complete or reset; where `reset` is true, until the reset. */
  async answer(stream: number, patience = PATIENCE): Promise<RawAnswer> {
    const interim: (readonly RawField[])[] = [];
    let head: readonly RawField[] | undefined;
    let trailers: readonly RawField[] | undefined;
    const parts: Buffer[] = [];
    for (;;) {
      const message = await this.find(
        (candidate): candidate is Of<"headers" | "data" | "reset" | "closed"> =>
          candidate.kind === "closed" ||
          (candidate.stream === stream && ["headers", "data", "reset"].includes(candidate.kind)),
        patience,
        `an answer on stream ${stream}`,
      );
      if (message.kind === "closed")
        throw new Error(`the connection was closed before the answer\n${this.transcript()}`);
      if (message.kind === "reset")
        return { interim, head: head ?? [], data: Buffer.concat(parts), trailers, reset: message.code };
      if (message.kind === "data") parts.push(message.data);
      else if (head !== undefined) trailers = message.fields;
      else if (fieldOf(message.fields, ":status")?.startsWith("1") === true) interim.push(message.fields);
      else head = message.fields;
      if (message.end) return { interim, head: head ?? [], data: Buffer.concat(parts), trailers, reset: undefined };
    }
  }

  /** Octets of DATA of a stream, or of all, that have come. */
  octets(stream?: number): number {
    let sum = 0;
    for (const message of this.received)
      if (message.kind === "data" && (stream === undefined || message.stream === stream)) sum += message.data.length;
    return sum;
  }

  /** For the messages of failed tests. */
  transcript(): string {
    return this.received.map(describe).join("\n");
  }

  private async find<M extends RawMessage>(
    wanted: (message: RawMessage) => message is M,
    patience: number,
    what: string,
  ): Promise<M> {
    const end = performance.now() + patience;
    for (;;) {
      for (const message of this.received) {
        if (this.taken.has(message) || !wanted(message)) continue;
        if (message.kind !== "closed") this.taken.add(message);
        return message;
      }
      const left = end - performance.now();
      if (this.received.at(-1)?.kind === "closed")
        throw new Error(`closed before ${what}; what came:\n${this.transcript()}`);
      if (left <= 0) throw new Error(`no ${what} within ${patience} ms; what came:\n${this.transcript()}`);
      await new Promise<void>((resolve) => {
        const look = (): void => {
          clearTimeout(timer);
          this.waiting.delete(look);
          resolve();
        };
        const timer = setTimeout(look, left);
        this.waiting.add(look);
      });
    }
  }

  private take(chunk: Buffer): void {
    const skipped = Math.min(this.prefaceLeft, chunk.length);
    this.prefaceLeft -= skipped;
    for (const one of this.reader.push(chunk.subarray(skipped))) this.takeFrame(one);
  }

  private takeFrame(one: RawFrame): void {
    const { type, flags, stream, payload } = one;
    switch (type) {
      case FrameType.HEADERS:
        this.block = { stream, end: (flags & Flag.END_STREAM) !== 0, parts: [payload] };
        this.takeBlock(flags);
        break;
      case FrameType.CONTINUATION:
        this.block?.parts.push(payload);
        this.takeBlock(flags);
        break;
      case FrameType.DATA:
        if (this.options.credit !== false && payload.length > 0) {
          this.window(0, payload.length);
          if ((flags & Flag.END_STREAM) === 0) this.window(stream, payload.length);
        }
        if (this.options.discard === true) this.discarded += payload.length;
        this.push({
          kind: "data",
          stream,
          data: this.options.discard === true ? Buffer.alloc(0) : payload,
          end: (flags & Flag.END_STREAM) !== 0,
        });
        break;
      case FrameType.RST_STREAM:
        this.push({ kind: "reset", stream, code: payload.readUInt32BE(0) });
        break;
      case FrameType.SETTINGS:
        this.takeSettings(flags, payload);
        break;
      case FrameType.PING:
        if ((flags & Flag.ACK) === 0 && this.options.polite !== false && this.options.pong !== false)
          this.pong(payload);
        this.push({ kind: "ping", stream: 0, payload, ack: (flags & Flag.ACK) !== 0 });
        break;
      case FrameType.GOAWAY: {
        const [last, code] = [payload.readUInt32BE(0), payload.readUInt32BE(4)];
        this.push({ kind: "goaway", stream: 0, last, code, debug: payload.toString("latin1", 8) });
        break;
      }
      case FrameType.WINDOW_UPDATE:
        this.push({ kind: "window", stream, increment: payload.readUInt32BE(0) });
        break;
      default:
        this.push({ kind: "other", stream, frame: one });
    }
  }

  private takeSettings(flags: number, payload: Buffer): void {
    const ack = (flags & Flag.ACK) !== 0;
    const values = new Map<number, number>();
    for (let at = 0; at < payload.length; at += 6) values.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    if (!ack && this.options.polite !== false) this.write(frame(FrameType.SETTINGS, Flag.ACK, 0));
    this.push({ kind: "settings", stream: 0, values, ack });
  }

  private takeBlock(flags: number): void {
    const { block } = this;
    if (block === undefined || (flags & Flag.END_HEADERS) === 0) return;
    this.block = undefined;
    const fields = this.decoder.decode(Buffer.concat(block.parts));
    this.push({ kind: "headers", stream: block.stream, fields, end: block.end });
  }

  private push(message: RawMessage): void {
    this.received.push(message);
    for (const look of [...this.waiting]) look();
  }
}

/** Listens as scripted servers do: each connection is a peer of the test's. */
export class RawServer {
  readonly peers: RawPeer[] = [];
  private readonly server: Server;
  private readonly arrivals: ((peer: RawPeer) => void)[] = [];
  private handed = 0;

  private constructor(server: Server, options: RawPeerOptions) {
    this.server = server;
    server.on("connection", (socket) => {
      const peer = new RawPeer(socket, "server", options);
      this.peers.push(peer);
      const waiting = this.arrivals.shift();
      if (waiting === undefined) return;
      this.handed++;
      waiting(peer);
    });
  }

  /** Listens on a port of 127.0.0.1. */
  static async listen(options: RawPeerOptions = {}, port = 0): Promise<RawServer> {
    const server = createServer();
    const made = new RawServer(server, options);
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return made;
  }

  get port(): number {
    const address = this.server.address();
    if (address === null || typeof address === "string") throw new Error("the server does not listen");
    return address.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The next connection. */
  async peer(patience = PATIENCE): Promise<RawPeer> {
    const waiting = this.peers[this.handed];
    if (waiting !== undefined) {
      this.handed++;
      return waiting;
    }
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no connection within ${patience} ms`)), patience);
      this.arrivals.push((peer) => {
        clearTimeout(timer);
        resolve(peer);
      });
    });
  }

  /** Takes no more connections; those that stand stay. */
  stopListening(): void {
    this.server.close();
  }

  async close(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    if (!this.server.listening) return;
    await new Promise<void>((resolve) => void this.server.close(() => resolve()));
  }
}

/** The first value of a name. */
export function fieldOf(fields: readonly RawField[], name: string): string | undefined {
  return fields.find((field) => field.name === name)?.value;
}

/** Names and values alone. */
export function pairsOf(fields: readonly RawField[]): [name: string, value: string][] {
  return fields.map(({ name, value }) => [name, value]);
}

function isKind<K extends Kind>(message: RawMessage, kind: K, stream: number | undefined): message is Of<K> {
  return message.kind === kind && (stream === undefined || message.stream === stream);
}

function describe(message: RawMessage): string {
  switch (message.kind) {
    case "headers":
      return `HEADERS ${message.stream}${message.end ? " end" : ""} ${pairsOf(message.fields).map(String).join("; ")}`;
    case "data":
      return `DATA ${message.stream}${message.end ? " end" : ""} ${message.data.length} octets`;
    case "reset":
      return `RST_STREAM ${message.stream} code ${message.code}`;
    case "settings":
      return `SETTINGS${message.ack ? " ack" : ` ${[...message.values].map(String).join("; ")}`}`;
    case "ping":
      return `PING${message.ack ? " ack" : ""}`;
    case "goaway":
      return `GOAWAY last ${message.last} code ${message.code} ${message.debug}`;
    case "window":
      return `WINDOW_UPDATE ${message.stream} +${message.increment}`;
    case "other":
      return `${frameName(message.frame.type)} ${message.stream}`;
    case "closed":
      return `closed ${message.error ?? ""}`;
  }
}

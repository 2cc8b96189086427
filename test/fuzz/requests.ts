import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { HeaderTable } from "../../src/http/headers.ts";
import { fieldsFault } from "../../src/http2/fields.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { Engine } from "../support/engine.ts";
import { headersFrame, pingFrame, settingsAckFrame, settingsFrame } from "../support/frames.ts";
import { PeerEncoder, type PlainField } from "../support/hpack-peer.ts";
import { FrameReader } from "../support/raw-frames.ts";
import { mutateOctets } from "./mutate.ts";
import { pick, type Random, type Target } from "./target.ts";

/** Between fields, and between a name and its value: two octets that no field may hold. */
const [FIELD, VALUE] = [0x1e, 0x1f];
/** Fields of node:http2's own limit, and a list that both take. */
const MOST_FIELDS = 60;
/** Requests over one connection: nghttp2 ends one that has brought too many malformed ones. */
const SESSION = 200;
const stateless = new PeerEncoder(0, () => "none");

function readFields(input: Buffer): PlainField[] {
  return input
    .toString("latin1")
    .split(String.fromCharCode(FIELD))
    .slice(0, MOST_FIELDS)
    .map((text) => {
      const [name = "", ...value] = text.split(String.fromCharCode(VALUE));
      return [name, value.join("")];
    });
}

function writeFields(fields: readonly PlainField[]): Buffer {
  const text = fields
    .map(([name, value]) => name + String.fromCharCode(VALUE) + value)
    .join(String.fromCharCode(FIELD));
  return Buffer.from(text, "latin1");
}

/** A server of node:http2, which is nghttp2, that is asked one request after the other. */
class Nghttp2 {
  private readonly server: Http2Server;
  private readonly ours: Socket;
  private readonly reader = new FrameReader();
  private readonly requests = new Map<number, readonly string[]>();
  private readonly resets = new Set<number>();
  private pongs: (() => void)[] = [];
  asked = 0;
  /** It has ended the connection. */
  gone = false;

  private constructor(server: Http2Server, ours: Socket) {
    this.server = server;
    this.ours = ours;
    server.on("stream", (stream: ServerHttp2Stream, _headers, _flags, raw: readonly string[]) => {
      if (stream.id !== undefined) this.requests.set(stream.id, raw);
      stream.on("error", () => {});
      stream.respond({ ":status": 204 }, { endStream: true });
    });
    server.on("sessionError", () => {});
    ours.on("data", (chunk: Buffer) => this.hear(chunk));
    ours.on("close", () => this.leave());
    ours.write(Buffer.concat([CLIENT_PREFACE, settingsFrame()]));
  }

  static async start(): Promise<Nghttp2> {
    const server = createServer({ maxSessionInvalidFrames: 1e6, maxSessionRejectedStreams: 1e6 });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new Nghttp2(server, socket);
  }

  /** The fields that it hands to its application, or undefined where it refuses the request. */
  async ask(block: Buffer): Promise<PlainField[] | undefined> {
    const stream = 2 * this.asked++ + 1;
    const pong = new Promise<void>((resolve) => this.pongs.push(resolve));
    this.ours.write(Buffer.concat([headersFrame(stream, block, { end: true }), pingFrame()]));
    await pong;
    // The request is handed over in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
    const raw = this.requests.get(stream);
    this.requests.clear();
    if (raw === undefined || this.resets.has(stream) || this.gone) return undefined;
    return Array.from({ length: raw.length / 2 }, (_, at): PlainField => [raw[2 * at] ?? "", raw[2 * at + 1] ?? ""]);
  }

  async close(): Promise<void> {
    this.ours.destroy();
    this.server.close();
    if (!this.ours.closed) await once(this.ours, "close");
  }

  private hear(chunk: Buffer): void {
    for (const { type, flags, stream } of this.reader.push(chunk)) {
      if (type === FrameType.SETTINGS && (flags & Flag.ACK) === 0) this.ours.write(settingsAckFrame);
      if (type === FrameType.RST_STREAM) this.resets.add(stream);
      if (type === FrameType.PING) this.pongs.shift()?.();
      if (type === FrameType.GOAWAY) this.leave();
    }
  }

  private leave(): void {
    this.gone = true;
    for (const pong of this.pongs.splice(0)) pong();
  }
}

let peer: Nghttp2 | undefined;

/**
 * Heads of requests: one that we take nghttp2 takes as well, and reads the same in it. Whoever stands behind us must not see
 * another request than we do.
 */
export const requests: Target = {
  name: "requests",
  seeds: () => [
    writeFields(GOOD),
    writeFields([...GOOD, ["te", "trailers"], ["content-type", "application/grpc"], ["x-bin", "AA"], ["x-bin", "AB"]]),
    writeFields([
      [":method", "CONNECT"],
      [":authority", "a:1"],
    ]),
    writeFields([
      [":method", "OPTIONS"],
      [":scheme", "http"],
      [":path", "*"],
      ["host", "b"],
      ["cookie", "a=1"],
      ["cookie", "b=2"],
    ]),
    writeFields([...GOOD, ["content-length", "0"], ["x-high", "\xe4\xff"], ["x-tab", "a\tb"], ["x-empty", ""]]),
  ],
  mutate,
  async run(input) {
    const fields = readFields(input);
    const block = stateless.encode(fields);
    const engine = Engine.ready("server");
    engine.send(headersFrame(1, block, { end: true }));
    const [accepted] = engine.accepted;
    const fault = fieldsFault(new HeaderTable().head(fields), "request");
    assert.ok(fault === undefined || accepted === undefined, `what is wrong is refused: ${fault}`);
    const ours = accepted && [...accepted.head.entries()].map(([name, value]): PlainField => [name, value]);
    engine.connection.close("done");
    engine.clock.advance(20_000);
    if (peer === undefined || peer.asked >= SESSION) {
      await peer?.close();
      peer = await Nghttp2.start();
    }
    const theirs = await peer.ask(block);
    assert.equal(peer.gone, false, "nghttp2 ends the connection");
    if (ours !== undefined && !(theirs === undefined && mayBeRefused(ours)))
      assert.deepEqual(theirs, ours, "nghttp2 reads otherwise");
    const what = fault?.replace(/(pseudo-header|value of|field) [\s\S]*?( twice| in a request| after a|$)/, "$1$2");
    return [`${what ?? "nothing is wrong"}, ${ours !== undefined}`, `nghttp2 ${theirs !== undefined}`];
  },
  async close() {
    await peer?.close();
    peer = undefined;
  },
};

/**
 * What nghttp2 refuses by itself, and nobody reads otherwise: a request that says of no host, or in another way than by an authority
 * as RFC 3986 has it, whom it is for. Outrigger's own routing answers the first, and the application the others.
 */
function mayBeRefused(fields: readonly PlainField[]): boolean {
  const targets = fields.filter(([name]) => name === ":authority" || name === "host").map(([, value]) => value);
  return targets.length === 0 || targets.some((value) => value === "" || value.includes("@"));
}

const GOOD: readonly PlainField[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a.B/C"],
  [":authority", "b:80"],
];

const NAMES = [
  ":method",
  ":scheme",
  ":path",
  ":authority",
  ":protocol",
  ":status",
  ":x",
  "host",
  "te",
  "content-length",
  "connection",
  "transfer-encoding",
  "upgrade",
  "keep-alive",
  "proxy-connection",
  "cookie",
  "x-a",
  "X-A",
  "",
  "x a",
  "x\x00",
  "priority",
  "expect",
];
const VALUES = [
  "",
  " ",
  "a ",
  "\ta",
  "a\tb",
  "0",
  "1",
  "00",
  "-0",
  "1,1",
  "trailers",
  "Trailers",
  "gzip",
  "GET",
  "CONNECT",
  "HEAD",
  "OPTIONS",
  "get",
  "*",
  "/",
  "/a b",
  "//",
  "?x",
  "http",
  "https",
  "h2c",
  "b",
  "b:80",
  "u@b",
  "[::1]:1",
  "b:",
  "a\x00b",
  "a\r\nb",
  "\x7f",
  "\x80\xff",
  "%2f",
  "#",
];

function mutate(input: Buffer, random: Random, others: readonly Buffer[]): Buffer {
  if (random(4) === 0) return mutateOctets(input, random, others);
  const fields = readFields(input);
  for (let more = 1 + random(3); more > 0; more--) {
    const at = random(fields.length + 1);
    const [name, value] = fields[at] ?? ["x-a", "1"];
    switch (random(6)) {
      case 0:
        fields.splice(at, 1);
        break;
      case 1:
        fields.splice(at, 0, [name, value]);
        break;
      case 2:
        fields.splice(at, 0, [pick(random, NAMES), pick(random, VALUES)]);
        break;
      case 3:
        fields[at] = [pick(random, NAMES), value];
        break;
      case 4:
        fields[at] = [name, pick(random, VALUES)];
        break;
      default:
        fields[at] = [name, mutateOctets(Buffer.from(value, "latin1"), random, []).toString("latin1")];
    }
  }
  return writeFields(fields);
}

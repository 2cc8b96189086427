import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { type Duplex, duplexPair } from "node:stream";
import { test } from "node:test";
import { HeaderTable } from "../../../src/http/headers.ts";
import { HpackDecoder } from "../../../src/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/http2/hpack/encoder.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { seededInteger } from "../../support/random-integer.ts";

// The HPACK of node:http2 is nghttp2's, which is strict about table sizes and sends Huffman code.

const Type = { DATA: 0, HEADERS: 1, SETTINGS: 4, GOAWAY: 7 } as const;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const HEADER_TABLE_SIZE = 1;
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Just enough of HTTP/2 to carry header blocks of ours to node:http2 and its blocks to us. */
class HpackPeer {
  readonly encoder: HpackEncoder;
  readonly decoder: HpackDecoder;
  readonly table = new HeaderTable();
  private readonly socket: Duplex;
  private received = Buffer.alloc(0);
  private readonly waiting: (() => void)[] = [];

  constructor(socket: Duplex, maxTableSize: number) {
    this.socket = socket;
    this.encoder = new HpackEncoder({ maxTableSize });
    this.decoder = new HpackDecoder(this.table, { maxTableSize, maxListSize: 65_536, maxFields: 100 });
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      for (const wake of this.waiting.splice(0)) wake();
    });
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(HEADER_TABLE_SIZE, 0);
    settings.writeUInt32BE(maxTableSize, 2);
    this.write(Type.SETTINGS, 0, 0, settings);
  }

  write(type: number, flags: number, stream: number, payload: Buffer): void {
    const header = Buffer.alloc(9);
    header.writeUIntBE(payload.length, 0, 3);
    header[3] = type;
    header[4] = flags;
    header.writeUInt32BE(stream, 5);
    this.socket.write(Buffer.concat([header, payload]));
  }

  headers(stream: number, fields: readonly PlainField[], flags: number): void {
    const head = this.table.head(fields);
    const block = Buffer.alloc(this.encoder.bound(head));
    const end = this.encoder.encode(head, block, 0);
    this.write(Type.HEADERS, END_HEADERS | flags, stream, block.subarray(0, end));
  }

  async octets(count: number): Promise<Buffer> {
    while (this.received.length < count) {
      await new Promise<void>((resolve) => {
        this.waiting.push(resolve);
      });
    }
    const taken = this.received.subarray(0, count);
    this.received = this.received.subarray(count);
    return taken;
  }

  /** The next HEADERS frame, decoded; settings are obeyed and acknowledged on the way. */
  async head(): Promise<{ stream: number; fields: PlainField[] }> {
    for (;;) {
      const frame = await this.frame();
      assert.notEqual(frame.type, Type.GOAWAY, `the peer gave up: ${frame.payload.toString("latin1", 8)}`);
      if (frame.type === Type.SETTINGS) this.settings(frame);
      if (frame.type !== Type.HEADERS) continue;
      assert.equal(frame.flags & END_HEADERS, END_HEADERS);
      // node:http2 sends a priority in none of its HEADERS, and no padding unless asked.
      assert.equal(frame.flags & 0x28, 0);
      const head = this.decoder.decode(frame.payload, 0, frame.payload.length);
      assert.equal(this.decoder.tooLarge, false);
      return { stream: frame.stream, fields: [...head.entries()] };
    }
  }

  private async frame(): Promise<Frame> {
    const header = await this.octets(9);
    const payload = await this.octets(header.readUIntBE(0, 3));
    return { type: header.readUInt8(3), flags: header.readUInt8(4), stream: header.readUInt32BE(5), payload };
  }

  private settings(frame: Frame): void {
    if ((frame.flags & ACK) !== 0) {
      this.decoder.settingsAcknowledged();
      return;
    }
    for (let at = 0; at < frame.payload.length; at += 6) {
      if (frame.payload.readUInt16BE(at) !== HEADER_TABLE_SIZE) continue;
      this.encoder.setMaxTableSize(frame.payload.readUInt32BE(at + 2));
    }
    this.write(Type.SETTINGS, ACK, 0, Buffer.alloc(0));
  }
}

const random = seededInteger(26);
const letters = (length: number): string => Array.from({ length }, () => String.fromCharCode(33 + random(94))).join("");

/** A call's own fields: some the same each time, some not, some secret. */
function metadata(call: number): http2.OutgoingHttpHeaders {
  return {
    "content-type": "application/grpc",
    te: "trailers",
    "x-same": "always",
    traceparent: `00-${letters(32)}-${letters(16)}-01`,
    [`x-name-${call % 5}`]: letters(1 + random(100)),
    "x-long": letters(call === 3 ? 3000 : 3),
    "x-latin1": "\xe4\xf6\xfc",
    authorization: `Bearer ${call % 2}`,
    [http2.sensitiveHeaders]: ["authorization"],
  };
}

/** Names and values, in no order and without node:http2's symbols. */
function plainFields(headers: http2.IncomingHttpHeaders | http2.OutgoingHttpHeaders): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}

function withoutSecrecy(fields: readonly PlainField[]): Record<string, string> {
  assert.equal(new Set(fields.map(([name]) => name)).size, fields.length);
  return Object.fromEntries(fields.map(([name, value]) => [name, value]));
}

for (const tableSize of [4096, 0, 200, 65_536]) {
  test(`a client of node:http2 and we understand each other with tables of ${tableSize} octets`, async () => {
    const [ours, theirs] = duplexPair();
    const peer = new HpackPeer(ours, tableSize);
    const client = http2.connect("http://service:80", {
      createConnection: () => theirs,
      settings: { headerTableSize: tableSize },
    });
    try {
      assert.equal((await peer.octets(PREFACE.length)).toString("latin1"), PREFACE);
      for (let call = 0; call < 40; call++) {
        // Sizes change in the middle of things, up and down, twice at once, and to nothing.
        if (call === 12) client.settings({ headerTableSize: 100 });
        if (call === 20) {
          client.settings({ headerTableSize: 0 });
          client.settings({ headerTableSize: 4096 });
        }
        if (call === 30) client.settings({ headerTableSize: 0 });
        const sent = { ":method": "POST", ":path": `/a.B/C${call % 3}`, ...metadata(call) };
        const stream = client.request(sent);
        const got = await peer.head();
        const own = { ":authority": "service:80", ":scheme": "http" };
        assert.deepEqual(withoutSecrecy(got.fields), { ...own, ...plainFields(sent) });
        const secrets = got.fields.filter((field) => field[2] === true).map(([name]) => name);
        assert.deepEqual(secrets, ["authorization"]);
        const answer: PlainField[] = [
          [":status", call % 4 === 0 ? "201" : "200"],
          ["content-type", "application/grpc"],
          ["x-same", "always"],
          ["x-request-id", letters(36)],
          ["x-token", letters(20), true],
          ["x-large", "y".repeat(call % 5 === 4 ? 2000 : 5)],
        ];
        const trailers: PlainField[] = [
          ["grpc-status", "0"],
          ["grpc-message", letters(random(30)).trim()],
        ];
        const response = once(stream, "response");
        const trailing = once(stream, "trailers");
        peer.headers(got.stream, answer, 0);
        peer.headers(got.stream, trailers, END_STREAM);
        stream.resume();
        assert.deepEqual(plainFields((await response)[0]), withoutSecrecy(answer));
        assert.deepEqual(plainFields((await trailing)[0]), withoutSecrecy(trailers));
        stream.end();
      }
    } finally {
      client.destroy();
      ours.destroy();
    }
  });

  test(`a server of node:http2 and we understand each other with tables of ${tableSize} octets`, async () => {
    const [ours, theirs] = duplexPair();
    ours.write(PREFACE);
    const server = http2.createServer({ settings: { headerTableSize: tableSize } });
    const requests: http2.IncomingHttpHeaders[] = [];
    const answers: http2.OutgoingHttpHeaders[] = [];
    server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
      requests.push(headers);
      const answer = { ":status": 200, ...metadata(answers.length) };
      answers.push(answer);
      stream.respond(answer);
      stream.end();
    });
    server.on("session", (session) => {
      setImmediate(() => session.settings({ headerTableSize: 150 }));
    });
    server.emit("connection", theirs);
    const peer = new HpackPeer(ours, tableSize);
    try {
      for (let call = 0; call < 40; call++) {
        const request: PlainField[] = [
          [":method", "POST"],
          [":scheme", "http"],
          [":path", `/a.B/C${call % 3}`],
          [":authority", "service"],
          ["te", "trailers"],
          ["grpc-timeout", `${random(1000)}m`],
          ["x-secret", letters(10), true],
          [`x-varies-${call % 6}`, letters(40)],
        ];
        peer.headers(call * 2 + 1, request, END_STREAM);
        const got = await peer.head();
        assert.deepEqual(plainFields(requests[call] ?? {}), withoutSecrecy(request));
        const { date: _, ...answer } = withoutSecrecy(got.fields);
        assert.deepEqual(answer, plainFields(answers[call] ?? {}));
      }
    } finally {
      ours.destroy();
      theirs.destroy();
      server.close();
    }
  });
}

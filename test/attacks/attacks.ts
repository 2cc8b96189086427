import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { CLIENT_PREFACE } from "../../src/http2/frame.ts";
import { type Flood, floods, hpackBomb, pathHead, slowRequest, stateless } from "../support/floods.ts";
import { clientGreeting, continuationFrame, headersFrame, settingsAckFrame, settingsFrame } from "../support/frames.ts";
import { fatalFrames, malformedFrames } from "../support/malformed-frames.ts";
import { SMUGGLING } from "../support/smuggling-forms.ts";
import { closed, type Front, written } from "./front.ts";
import { http1Forms, SMUGGLED } from "./http1-forms.ts";

/** An attack goes on until its front is over. */
export type Attack = (front: Front) => Promise<void>;

const greeting = Buffer.concat([clientGreeting, settingsAckFrame]);

/** Octets of a write. */
const PIECE = 65_536;
/** Pieces of a flood that are kept: after so many a connection begins anew, for its requests have numbers. */
const PIECES = 64;

/** Writes the same pieces over every connection. */
function flood({ opening, units }: Flood): Attack {
  const perPiece = Math.max(1, Math.floor(PIECE / units(0, 1).length));
  const pieces: Buffer[] = [];
  const piece = (at: number): Buffer => (pieces[at] ??= units(at * perPiece, perPiece));
  const begin = Buffer.concat([greeting, opening]);
  return (front) =>
    front.everywhere(async (socket) => {
      socket.write(begin);
      for (let at = 0; at < PIECES && !front.over; at++) {
        if (!(await written(socket, piece(at)))) break;
        front.figures.units += perPiece;
        // The other places are to have their turn as well.
        if (at % 4 === 3) await sleep(0);
      }
    });
}

/** Opens connections, says something on each, and then something more every now and then. */
function hold(first: Buffer, more?: { readonly octets: (at: number) => Buffer; readonly every: number }): Attack {
  return (front) =>
    front.everywhere(async (socket) => {
      front.figures.units++;
      socket.write(first);
      if (more === undefined) {
        await closed(socket);
        return;
      }
      for (let at = 0; !socket.closed && !front.over; at++) {
        await Promise.race([sleep(more.every), closed(socket)]);
        if (socket.writable) socket.write(more.octets(at));
      }
    });
}

/** A request again and again, of a block that does not change; `pause` milliseconds between two of them. */
function requests(first: Buffer, block: Buffer, atOnce: number, pause = 0): Attack {
  return (front) =>
    front.everywhere(async (socket) => {
      socket.write(Buffer.concat([greeting, first]));
      for (let at = 1; !front.over; at += atOnce) {
        const frames = Array.from({ length: atOnce }, (_, more) => wholeBlock(2 * (at + more) + 1, block));
        if (!(await written(socket, Buffer.concat(frames)))) break;
        front.figures.units += atOnce;
        await sleep(pause);
      }
    });
}

/** The frames of a header block of any size. */
function wholeBlock(stream: number, block: Buffer): Buffer {
  const size = 16_384;
  const parts = [headersFrame(stream, block.subarray(0, size), { end: true, whole: block.length <= size })];
  for (let at = size; at < block.length; at += size)
    parts.push(continuationFrame(stream, block.subarray(at, at + size), at + size >= block.length));
  return Buffer.concat(parts);
}

/** A list of so many octets after RFC 9113 §6.5.2. */
function listOf(octets: number, path = "/fast"): Buffer {
  const fields = pathHead(path);
  const size = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
  // As it is: Huffman code would make it smaller and its reading dearer than that of anything else.
  const value = Buffer.alloc(octets - size - 38, 0x7e);
  const length = value.length - 127;
  const prefix = [0x7f, ...varint(length)];
  return Buffer.concat([
    stateless.encode(fields),
    Buffer.of(0x00, 6),
    Buffer.from("x-fill"),
    Buffer.from(prefix),
    value,
  ]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [128 + (value % 128), ...varint(Math.floor(value / 128))];
}

/** Answers that are asked for and can never be sent. */
function zeroWindows(atOnce: number): Attack {
  const block = stateless.encode(pathHead("/big"));
  const begin = Buffer.concat([CLIENT_PREFACE, settingsFrame([[4, 0]]), settingsAckFrame]);
  const asks = Buffer.concat(Array.from({ length: atOnce }, (_, at) => headersFrame(2 * at + 1, block, { end: true })));
  return (front) =>
    front.everywhere(async (socket) => {
      socket.write(begin);
      front.figures.units += atOnce;
      await written(socket, asks);
      await closed(socket);
    });
}

/** Sends what costs a connection, over one after the other. */
function oneByOne(all: readonly Buffer[]): Attack {
  let next = 0;
  return (front) =>
    front.everywhere(async (socket) => {
      const octets = all[next++ % all.length] ?? greeting;
      front.figures.units++;
      socket.write(octets);
      // What costs a stream only does not end the connection.
      await Promise.race([closed(socket), sleep(100)]);
    });
}

/** What a TLS client says first. */
async function clientHello(): Promise<Buffer> {
  return await new Promise((resolve) => {
    const transport = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, done) {
        resolve(chunk);
        done();
      },
    });
    const client = connectTls({ socket: transport, ALPNProtocols: ["h2"], rejectUnauthorized: false });
    client.on("error", () => {});
  });
}

/** Has the sidecar make keys and signatures by the same ClientHello again and again, which costs the attacker nothing. */
function handshakes(sources: number): Attack {
  return async (front) => {
    const hello = await clientHello();
    front.sources = sources;
    await front.everywhere(async (socket: Socket) => {
      socket.write(hello);
      await new Promise<void>((resolve) => {
        socket.once("data", () => {
          front.figures.units++;
          resolve();
        });
        socket.once("close", () => resolve());
      });
    });
  };
}

/** The same, and each is left where it is: the sidecar waits for the rest of it. */
async function openHandshakes(front: Front): Promise<void> {
  const hello = await clientHello();
  await hold(hello)(front);
}

// What goes over a limit is not to reach the application.
const { bomb } = hpackBomb(SMUGGLED);
const { first } = hpackBomb();

/** Every attack by its name. */
export const attacks: Readonly<Record<string, Attack>> = {
  ...Object.fromEntries(floods.map((each) => [each.name, flood(each)])),
  "HPACK bomb": requests(headersFrame(1, first, { end: true }), bomb, 4),
  // What is within the limits is the application's to read as well, and is not to drown it.
  "header lists at the limit": requests(Buffer.alloc(0), listOf(65_536), 1, 50),
  "header lists of 2 MiB": requests(Buffer.alloc(0), listOf(2_097_152, SMUGGLED), 1, 50),
  "header lists over the limit": requests(Buffer.alloc(0), listOf(65_600, SMUGGLED), 2),
  "idle connections": hold(greeting),
  "half-open connections": hold(Buffer.alloc(0)),
  "slow preface": hold(CLIENT_PREFACE.subarray(0, 3), {
    octets: (at) => CLIENT_PREFACE.subarray(3 + (at % 20), 4 + (at % 20)),
    every: 1000,
  }),
  // As much as one block may have, of which the last octet never comes.
  "slow headers": hold(
    Buffer.concat([
      greeting,
      headersFrame(1, Buffer.alloc(16_384, 0x82), { whole: false }),
      ...Array.from({ length: 6 }, () => continuationFrame(1, Buffer.alloc(16_384, 0x82), false)),
    ]),
    { octets: () => continuationFrame(1, Buffer.of(0x82), false), every: 2000 },
  ),
  "slow read with zero windows": zeroWindows(900),
  "malformed frames": oneByOne([
    ...[...fatalFrames, ...malformedFrames].map(([, octets]) =>
      Buffer.concat([greeting, slowRequest(1, false), octets]),
    ),
    Buffer.from("what is this?\r\n\r\n"),
  ]),
  "forms of HTTP/1": oneByOne(http1Forms.map(({ octets }) => octets)),
  "smuggling over HTTP/1.1": oneByOne(
    SMUGGLING.map(([, text]) => Buffer.from(`${text}GET ${SMUGGLED} HTTP/1.1\r\nhost: up\r\n\r\n`, "latin1")),
  ),
  "slow heads over HTTP/1.1": hold(Buffer.from("GET /fast HTTP/1.1\r\nhost: up\r\n"), {
    octets: (at) => Buffer.from(`x-${at}: y\r\n`),
    every: 1000,
  }),
  "slow bodies over HTTP/1.1": hold(Buffer.from("POST /fast HTTP/1.1\r\nhost: up\r\ncontent-length: 1000000\r\n\r\n"), {
    octets: () => Buffer.from("b"),
    every: 1000,
  }),
  "TLS handshakes": handshakes(2),
  "TLS handshakes from many addresses": handshakes(250),
  "open TLS handshakes": openHandshakes,
};

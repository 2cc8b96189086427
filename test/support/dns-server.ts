import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from "node:net";

export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly address: string; readonly ttl?: number }
  | {
      readonly type: "SRV";
      readonly target: string;
      readonly port: number;
      readonly priority?: number;
      readonly weight?: number;
      readonly ttl?: number;
    };

/** What the server does with every question, instead of answering from its zone. */
export type DnsFault = "SERVFAIL" | "REFUSED" | "NXDOMAIN" | "empty" | "silent" | "garbage";

/** A question as it came in. */
export interface DnsAsked {
  readonly name: string;
  readonly type: string;
  readonly over: "udp" | "tcp";
  readonly at: number;
}

const TYPES: Readonly<Record<number, string>> = { 1: "A", 28: "AAAA", 33: "SRV" };
const RCODES: Readonly<Record<string, number>> = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
/** What fits into an answer over UDP (RFC 1035 §4.2.1); a longer one is cut, and asked for again over TCP. */
const UDP_LIMIT = 512;

/** A name server for a zone that a test has in its hands, over UDP and TCP of 127.0.0.1. */
export class DnsServer {
  readonly asked: DnsAsked[] = [];
  fault: DnsFault | undefined = undefined;
  private readonly zone = new Map<string, readonly DnsRecord[]>();
  private readonly udp: UdpSocket;
  private readonly tcp: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(udp: UdpSocket, tcp: Server) {
    this.udp = udp;
    this.tcp = tcp;
  }

  static async start(): Promise<DnsServer> {
    for (let tries = 0; ; tries++) {
      const udp = createSocket("udp4");
      const tcp = createServer();
      udp.bind(0, "127.0.0.1");
      await once(udp, "listening");
      try {
        tcp.listen(udp.address().port, "127.0.0.1");
        await once(tcp, "listening");
      } catch (error) {
        udp.close();
        if (tries === 10) throw error;
        continue;
      }
      const server = new DnsServer(udp, tcp);
      udp.on("message", (message, from) => server.onDatagram(message, from));
      tcp.on("connection", (socket) => server.onConnection(socket));
      return server;
    }
  }

  /** HOST:PORT */
  get address(): string {
    const { port } = this.tcp.address() as AddressInfo;
    return `127.0.0.1:${port}`;
  }

  /** Makes these the records of a name; without any the name exists and has none. */
  set(name: string, ...records: DnsRecord[]): void {
    this.zone.set(name, records);
  }

  /** The name does not exist any more. */
  remove(name: string): void {
    this.zone.delete(name);
  }

  /** How often a name was asked for. */
  count(name: string, type?: string): number {
    return this.asked.filter((asked) => asked.name === name && (type === undefined || asked.type === type)).length;
  }

  async stop(): Promise<void> {
    const closed = [once(this.udp, "close"), once(this.tcp, "close")];
    this.udp.close();
    this.tcp.close();
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(closed);
  }

  private onDatagram(message: Buffer, from: RemoteInfo): void {
    const answer = this.answer(message, "udp");
    if (answer === undefined) return;
    const cut = answer.length > UDP_LIMIT;
    // Only the question is left, and TC says so.
    const sent = cut
      ? Buffer.concat([withCut(answer.subarray(0, 12)), message.subarray(12, endOfQuestion(message))])
      : answer;
    this.udp.send(sent, from.port, from.address);
  }

  private onConnection(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("error", () => {});
    let read = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      read = Buffer.concat([read, chunk]);
      while (read.length >= 2 && read.length >= 2 + read.readUInt16BE(0)) {
        const end = 2 + read.readUInt16BE(0);
        const answer = this.answer(read.subarray(2, end), "tcp");
        read = read.subarray(end);
        if (answer !== undefined) socket.write(Buffer.concat([uint16(answer.length), answer]));
      }
    });
  }

  private answer(message: Buffer, over: "udp" | "tcp"): Buffer | undefined {
    const end = endOfQuestion(message);
    const name = nameAt(message, 12);
    const type = TYPES[message.readUInt16BE(end - 4)] ?? "?";
    this.asked.push({ name, type, over, at: performance.now() });
    const { fault } = this;
    if (fault === "silent") return undefined;
    if (fault === "garbage") return Buffer.concat([message.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0, 9, 1])]);
    const records = fault === undefined ? this.zone.get(name) : [];
    const rcode = records === undefined ? 3 : (RCODES[fault ?? ""] ?? 0);
    const found = (records ?? []).filter((record) => record.type === type);
    // QR, RD, RA; one question; the answers (RFC 1035 §4.1.1).
    const head = [
      message.subarray(0, 2),
      uint16(0x8180 | rcode),
      uint16(1),
      uint16(found.length),
      uint16(0),
      uint16(0),
    ];
    return Buffer.concat([...head, message.subarray(12, end), ...found.map(encodeRecord)]);
  }
}

function encodeRecord(record: DnsRecord): Buffer {
  const data = encodeData(record);
  const type = Object.entries(TYPES).find(([, name]) => name === record.type)?.[0];
  const ttl = Buffer.alloc(4);
  ttl.writeUInt32BE(record.ttl ?? 0);
  // 0xc00c points to the name of the question.
  return Buffer.concat([uint16(0xc00c), uint16(Number(type)), uint16(1), ttl, uint16(data.length), data]);
}

function encodeData(record: DnsRecord): Buffer {
  if (record.type === "SRV") {
    const { priority = 0, weight = 0, port, target } = record;
    return Buffer.concat([uint16(priority), uint16(weight), uint16(port), encodeName(target)]);
  }
  return isIPv6(record.address) ? encodeIpv6(record.address) : Buffer.from(record.address.split(".").map(Number));
}

function encodeIpv6(address: string): Buffer {
  const [before = "", after = ""] = address.split("::");
  const groups = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
  const [left, right] = [groups(before), groups(after)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return Buffer.concat([...left, ...zeros, ...right].map(uint16));
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").filter((label) => label !== "");
  return Buffer.concat([
    ...labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
    Buffer.alloc(1),
  ]);
}

function nameAt(message: Buffer, start: number): string {
  const labels: string[] = [];
  for (let at = start, length = message[at] ?? 0; length > 0; at += length + 1, length = message[at] ?? 0)
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
  return labels.join(".").toLowerCase();
}

function endOfQuestion(message: Buffer): number {
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) at += length + 1;
  return at + 1 + 4;
}

function withCut(head: Buffer): Buffer {
  const copy = Buffer.from(head);
  copy.writeUInt16BE(copy.readUInt16BE(2) | 0x0200, 2);
  copy.writeUInt16BE(0, 6);
  return copy;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

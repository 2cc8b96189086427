import { once } from "node:events";
import { connect, type Socket } from "node:net";

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const END_STREAM = 1;
const END_HEADERS = 4;
const CANCEL = 8;

/** One gRPC call written frame by frame, for what no client library lets a test do. */
export class RawCall {
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Connects and sends the head of a call. */
  static async open(address: string, path: string): Promise<RawCall> {
    const [host, port] = address.split(":");
    const socket = connect(Number(port), host);
    await once(socket, "connect");
    socket.resume().setNoDelay();
    const fields = { ":method": "POST", ":scheme": "http", ":authority": address, ":path": path };
    const head = Object.entries({ ...fields, te: "trailers", "content-type": "application/grpc" }).map(literal);
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    socket.write(Buffer.concat([frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, Buffer.concat(head))]));
    return new RawCall(socket);
  }

  message(payload: Buffer): void {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(payload.length, 1);
    this.#socket.write(frame(DATA, 0, 1, Buffer.concat([prefix, payload])));
  }

  reset(): void {
    this.#socket.write(frame(RST_STREAM, 0, 1, Buffer.of(0, 0, 0, CANCEL)));
  }

  /** As Node's HTTP/2 client cancels. */
  endAndReset(): void {
    this.#socket.write(
      Buffer.concat([frame(DATA, END_STREAM, 1), frame(RST_STREAM, 0, 1, Buffer.of(0, 0, 0, CANCEL))]),
    );
  }

  /** Takes the connection away, with a RST of TCP. */
  vanish(): void {
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }
}

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.of()): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** RFC 7541 §6.2.2: a literal field without indexing, with a new name; both shorter than 127 bytes. */
function literal([name, value]: [string, string]): Buffer {
  return Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
}

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { HonestAnswer, HonestClient } from "./honest.ts";

interface Waiting {
  readonly resolve: (answer: HonestAnswer) => void;
  readonly reject: (error: Error) => void;
}

const REQUEST = "GET /fast HTTP/1.1\r\nhost: up\r\n\r\n";

/** A caller over one connection of HTTP/1.1, one request after the other; its answers have a length. */
export class Http1Client implements HonestClient {
  private readonly socket: Socket;
  private readonly waiting: Waiting[] = [];
  private text = "";

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => this.read(text));
    socket.on("error", () => {});
    socket.on("close", () => {
      for (const { reject } of this.waiting.splice(0)) reject(new Error("the connection was closed"));
    });
  }

  static async connect(address: string): Promise<Http1Client> {
    const [host = "", port = ""] = address.split(":");
    const socket = connect({ host, port: Number(port), noDelay: true });
    await once(socket, "connect");
    return new Http1Client(socket);
  }

  call(): Promise<HonestAnswer> {
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) {
        reject(new Error("the connection is closed"));
        return;
      }
      this.waiting.push({ resolve, reject });
      if (this.waiting.length === 1) this.socket.write(REQUEST);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private read(text: string): void {
    this.text += text;
    const end = this.text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.text.slice(0, end).toLowerCase();
    const length = Number(/^content-length: *(\d+)/m.exec(head)?.[1] ?? 0);
    if (this.text.length < end + 4 + length) return;
    this.text = this.text.slice(end + 4 + length);
    const reason = /^outrigger-reason: *(\S+)/m.exec(head)?.[1]?.toUpperCase();
    const status = head.startsWith("http/1.1 200 ") ? "0" : "2";
    this.waiting.shift()?.resolve({ get: (name) => (name === "grpc-status" ? status : reason) });
    if (this.waiting.length > 0) this.socket.write(REQUEST);
  }
}

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { reset } from "../../src/net/reset.ts";
import { connectTo, socketMesh, tcpServer } from "../support/socket-mesh.ts";
import { http2Client, webSocketHead } from "../support/websocket-http2.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

// What each side of a call that takes a whole connection sees of an end of the other one that nobody has announced, in each phase, through
// two sidecars; and what their logs say of it. After each one both are at rest: nothing is left open (`Scope.sidecar`).

const kinds = ["HTTP/1.1", "WebSocket", "WebSocket over HTTP/2", "TCP"] as const;
type Kind = (typeof kinds)[number];

/** `asked`: the application has the beginning of a request; `answering`: the caller has the beginning of an answer as well. */
type Phase = "asked" | "answering";

type CallersEnd = "resets" | "ends its half and resets" | "closes";
type ApplicationsEnd = "resets" | "ends its half";

/** A caller that has asked and said five octets. */
interface Caller {
  /** Waits for the beginning of the answer. */
  begun(): Promise<unknown>;
  end(how: CallersEnd): Promise<void>;
  /** How it is over for a caller that waits: `reset`, `end`, or the status of an answer. */
  over(): Promise<string>;
}

const UPGRADE = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const asks: Readonly<Record<Exclude<Kind, "WebSocket over HTTP/2">, string>> = {
  "HTTP/1.1": "POST / HTTP/1.1\r\nhost: up\r\ncontent-length: 10\r\n\r\nhello",
  WebSocket: `GET / HTTP/1.1\r\nhost: up\r\n${UPGRADE}sec-websocket-key: ${KEY}\r\n\r\nhello`,
  TCP: "hello",
};

async function rawCaller(scope: Scope, kind: keyof typeof asks, address: string): Promise<Caller> {
  const socket = await connectTo(scope, address);
  let heard = "";
  let error = "";
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
  socket.on("error", ({ code = "" }: NodeJS.ErrnoException) => (error = code));
  socket.write(asks[kind]);
  return {
    begun: () =>
      eventually(
        () => heard.includes("world"),
        () => `the caller has ${heard}`,
      ),
    async end(how) {
      if (how === "ends its half and resets") {
        socket.end();
        await once(socket, "finish");
      }
      if (how === "closes") socket.destroy();
      else reset(socket);
    },
    async over() {
      const status = (): string | undefined => /^HTTP\/1.1 ([45]\d\d) /.exec(heard)?.[1];
      socket.once("end", () => socket.end());
      await eventually(
        () => socket.closed || status() !== undefined,
        () => `the caller has ${heard}`,
      );
      return error === "" ? (status() ?? "end") : "reset";
    },
  };
}

async function http2Caller(scope: Scope, address: string): Promise<Caller> {
  const session = await http2Client(scope, address);
  const stream = session.request(webSocketHead({ ":path": "/" }), { endStream: false });
  let heard = "";
  let status = 0;
  stream.on("error", () => {});
  stream.on("response", (head) => (status = Number(head[":status"])));
  stream.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
  stream.write("hello");
  return {
    begun: () =>
      eventually(
        () => heard.includes("world"),
        () => `the caller has ${heard}`,
      ),
    async end(how) {
      // Node says END_STREAM before it resets what is closed.
      if (how === "resets") stream.destroy(new Error("enough"));
      else if (how === "ends its half and resets") stream.close(8);
      else session.destroy();
    },
    async over() {
      stream.once("end", () => stream.end());
      await new Promise((resolve) => stream.once("close", resolve));
      return status >= 400 ? String(status) : stream.rstCode === 0 ? "end" : "reset";
    },
  };
}

/** An application that takes one connection, and begins an answer where it is wanted. */
class Application {
  readonly address: string;
  private readonly sockets: readonly Socket[];
  heard = "";

  private constructor(address: string, sockets: Socket[]) {
    this.address = address;
    this.sockets = sockets;
  }

  static async start(scope: Scope): Promise<Application> {
    const sockets: Socket[] = [];
    const { address } = await tcpServer(scope, (socket) => {
      sockets.push(socket);
      socket.on("data", (chunk: Buffer) => (app.heard += chunk.toString("latin1")));
    });
    const app = new Application(address, sockets);
    return app;
  }

  get socket(): Socket {
    const [socket] = this.sockets;
    assert.ok(socket !== undefined, "the application has a connection");
    return socket;
  }

  /** Waits until it has been asked. */
  async asked(kind: Kind): Promise<void> {
    // What is said after an upgrade leaves once it is answered.
    const whole = kind.startsWith("WebSocket") ? "\r\n\r\n" : "hello";
    await eventually(
      () => this.heard.includes(whole),
      () => `the application has ${this.heard}`,
    );
  }

  /** Begins to answer. */
  answer(kind: Kind): void {
    const key = /sec-websocket-key: (\S+)/i.exec(this.heard)?.[1] ?? "";
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    const heads: Readonly<Record<Kind, string>> = {
      "HTTP/1.1": "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
      WebSocket: `HTTP/1.1 101 Over\r\n${UPGRADE}sec-websocket-accept: ${accept}\r\n\r\n`,
      "WebSocket over HTTP/2": `HTTP/1.1 101 Over\r\n${UPGRADE}sec-websocket-accept: ${accept}\r\n\r\n`,
      TCP: "",
    };
    this.socket.write(`${heads[kind]}world`);
  }
}

interface Scene {
  readonly app: Application;
  readonly caller: Caller;
  readonly inbound: Sidecar;
  readonly outbound: Sidecar;
}

/** A call that has come to a phase. */
async function sceneOf(scope: Scope, kind: Kind, phase: Phase, mode: "disabled" | "strict"): Promise<Scene> {
  const app = await Application.start(scope);
  const { address, inbound, outbound } = await socketMesh(scope, {
    protocol: kind === "TCP" ? "tcp" : "http1",
    applications: [app.address],
    mode,
  });
  const caller = await (kind === "WebSocket over HTTP/2"
    ? http2Caller(scope, address)
    : rawCaller(scope, kind, address));
  await app.asked(kind);
  if (phase === "answering") {
    app.answer(kind);
    await caller.begun();
    // What it said before it was answered is not lost either.
    await eventually(
      () => app.heard.endsWith("hello"),
      () => `the application has ${app.heard}`,
    );
  }
  return { app, caller, inbound, outbound };
}

/** The status and the reason in a sidecar's line of the call. While it is waited for half-open connections are looked at. */
async function lineOf(sidecar: Sidecar): Promise<string> {
  await eventually(
    () => {
      sidecar.clock.jump(1000);
      return sidecar.calls.length > 0;
    },
    () => "a line in the log",
  );
  const { grpc_status, reason = "" } = await sidecar.call();
  return `${String(grpc_status)} ${String(reason)}`.trim();
}

/** What the lines of a call say whose caller has gone. */
function ofCallersEnd(kind: Kind, phase: Phase, how: CallersEnd): string {
  // Both halves end one after the other, as they are meant to where none of them has a length.
  const isWhole = kind === "TCP" || (kind === "WebSocket" && phase === "answering");
  return isWhole && how === "closes" ? "OK" : "CANCELLED";
}

/** What a caller sees whose application has gone, and what the lines of the call say. */
function ofApplicationsEnd(kind: Kind, phase: Phase, how: ApplicationsEnd): readonly [seen: string, line: string] {
  if (phase === "asked" && kind !== "TCP") return ["503", "UNAVAILABLE UPSTREAM_LOST"];
  return how === "resets" || kind === "HTTP/1.1" ? ["reset", "UNAVAILABLE UPSTREAM_LOST"] : ["end", "OK"];
}

const phases = ["asked", "answering"] as const;

for (const mode of ["disabled", "strict"] as const)
  for (const kind of kinds)
    for (const phase of phases) {
      for (const how of ["resets", "ends its half and resets", "closes"] as const)
        test(`${kind}, mTLS ${mode}, ${phase}: a caller that ${how} is gone for the application as well`, async () => {
          await inScope(async (scope) => {
            const { app, caller, inbound, outbound } = await sceneOf(scope, kind, phase, mode);
            if (how === "closes") app.socket.once("end", () => app.socket.end());
            await caller.end(how);
            const expected = ofCallersEnd(kind, phase, how);
            assert.deepEqual([await lineOf(outbound), await lineOf(inbound)], [expected, expected]);
          });
        });
      for (const how of ["resets", "ends its half"] as const)
        test(`${kind}, mTLS ${mode}, ${phase}: what a caller sees of an application that ${how}`, async () => {
          await inScope(async (scope) => {
            const { app, caller, inbound, outbound } = await sceneOf(scope, kind, phase, mode);
            const over = caller.over();
            if (how === "resets") reset(app.socket);
            else app.socket.end();
            const [seen, line] = ofApplicationsEnd(kind, phase, how);
            assert.equal(await over, seen);
            // Without TLS nobody is believed to be a sidecar, and a 503 is one of the application.
            const told = mode === "disabled" && seen === "503" ? "UNAVAILABLE" : line;
            assert.deepEqual([await lineOf(outbound), await lineOf(inbound)], [told, line]);
          });
        });
    }

import { createServer, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer as createTcpServer } from "node:net";

// A program in a pod of `netns.ts` that does what an application there could: it serves and calls as it is told, in JSON by HTTP on
// a unix socket, which no network namespace keeps from anybody. It knows of no mesh, and each of its calls is a connection of its own.

/** What a `PodAgent` can be told. The answer is a text. */
export type Wish =
  /** Serves HTTP/1 that answers with `text` and the name that it was called by. */
  | { readonly do: "page"; readonly host: string; readonly port: number; readonly text: string }
  /** Serves TCP that says a line to whoever connects, before anything else, and ends. */
  | { readonly do: "banner"; readonly port: number }
  /** A page's text, or "error " and its code. */
  | { readonly do: "get"; readonly url: string }
  /** What a server says to somebody who only listens, until it ends, or "error " and its code. */
  | { readonly do: "hear"; readonly host: string; readonly port: number }
  /** What a client of gRPC is told: the reason, else the status of HTTP, or "error " and its code. */
  | { readonly do: "call"; readonly authority: string };

/** Milliseconds until a caller gives up. */
const PATIENCE = 20_000;

function serve(wish: Extract<Wish, { do: "page" | "banner" }>): Promise<string> {
  const server =
    wish.do === "page"
      ? createServer((asked, answer) => answer.end(wish.text + asked.headers.host))
      : createTcpServer((socket) => socket.on("error", () => {}).end("220 hello\r\n"));
  return new Promise((resolve) => {
    server.on("error", (error) => resolve(failed(error)));
    server.listen(wish.port, wish.do === "page" ? wish.host : "::", () => resolve("up"));
  });
}

function get(url: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, timeout: PATIENCE }, (answer) => {
      let text = "";
      answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
      answer.on("close", () => resolve(text));
    });
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.on("error", (error) => resolve(failed(error)));
    asked.end();
  });
}

function hear(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    let text = "";
    socket.setTimeout(PATIENCE, () => socket.destroy(new Error("no word")));
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("error", (error) => resolve(failed(error)));
    socket.on("end", () => resolve(text));
  });
}

function call(authority: string): Promise<string> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://${authority}`);
    const say = (text: string): void => {
      resolve(text);
      session.destroy();
    };
    session.setTimeout(PATIENCE, () => say("error no answer"));
    session.on("error", (error) => say(failed(error)));
    const stream = session.request({
      ":authority": authority,
      ":method": "POST",
      ":path": "/a.B/C",
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", (error) => say(failed(error)));
    stream.on("response", (head) => say(String(head["outrigger-reason"] ?? head[":status"])));
    stream.end();
  });
}

function failed(error: NodeJS.ErrnoException): string {
  return `error ${error.code ?? error.message}`;
}

function fulfil(wish: Wish): Promise<string> {
  switch (wish.do) {
    case "page":
    case "banner":
      return serve(wish);
    case "get":
      return get(wish.url);
    case "hear":
      return hear(wish.host, wish.port);
    case "call":
      return call(wish.authority);
  }
}

if (import.meta.main) {
  createServer((asked, answer) => {
    let text = "";
    asked.on("data", (chunk: Buffer) => (text += chunk.toString()));
    asked.on("end", () => void fulfil(JSON.parse(text)).then((said) => answer.end(said)));
  }).listen(process.argv[2], () => process.stdout.write("agent up\n"));
}

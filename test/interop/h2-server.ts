// An HTTP/2 application on node:http2 with an answer of every kind. Prints "interop ready address=HOST:PORT".
// test/peers/h2peer/server.go serves the same.
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

const BLOCK = Buffer.from(Array.from({ length: 65_536 }, (_, at) => at % 256));
let cancelled = 0;

const answers: Readonly<Record<string, (stream: ServerHttp2Stream, head: IncomingHttpHeaders, url: URL) => void>> = {
  "/echo": (stream, head) => {
    const count = Object.keys(head).filter((name) => name.startsWith("x-field-")).length;
    stream.respond({ ":status": 200, "x-count": String(count) }, { waitForTrailers: true });
    let check = "";
    let octets = 0;
    stream.on("trailers", (trailers) => {
      check = String(trailers["x-check"] ?? "");
    });
    stream.on("data", (chunk: Buffer) => {
      octets += chunk.length;
      if (!stream.write(chunk)) stream.pause();
    });
    stream.on("drain", () => stream.resume());
    stream.on("end", () => setImmediate(() => stream.end()));
    stream.on("close", () => {
      if (stream.rstCode !== 0) cancelled++;
    });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-check": check, "x-octets": String(octets) }));
  },
  "/octets": (stream, head, url) => {
    let left = Number(url.searchParams.get("n"));
    stream.respond({ ":status": 200, "content-length": String(left) }, { endStream: head[":method"] === "HEAD" });
    if (head[":method"] === "HEAD") return;
    const more = (): void => {
      while (left > 0) {
        const part = BLOCK.subarray(0, left);
        left -= part.length;
        if (!stream.write(part)) {
          stream.once("drain", more);
          return;
        }
      }
      stream.end();
    };
    more();
  },
  "/fields": (stream) => {
    const many = (name: string, count: number, value: string) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`${name}-${at}`, value.repeat(200)]));
    stream.respond({ ":status": 200, ...many("x-field", 100, "v") }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(many("x-last", 50, "t")));
    stream.end("fields");
  },
  "/early": (stream) => {
    stream.respond({ ":status": 413 });
    stream.end("enough");
    // As Go does it: the rest of the request is not wanted (RFC 9113 §8.1).
    stream.on("finish", () => stream.close(0));
  },
  "/reset": (stream) => {
    stream.respond({ ":status": 200 });
    stream.write("r".repeat(100));
    setTimeout(() => stream.destroy(new Error("in the middle of the answer")), 20);
  },
  "/slow": (stream) => {
    stream.respond({ ":status": 200 });
    const timer = setInterval(() => stream.write("."), 10);
    stream.on("close", () => {
      clearInterval(timer);
      cancelled++;
    });
  },
  "/hints": (stream) => {
    stream.additionalHeaders({ ":status": 103, link: "</style.css>; rel=preload" });
    stream.respond({ ":status": 200 });
    stream.end("hinted");
  },
  "/none": (stream) => stream.respond({ ":status": 204 }, { endStream: true }),
  "/cancelled": (stream) => {
    stream.respond({ ":status": 200 });
    stream.end(String(cancelled));
  },
};

const server = createServer();
server.on("stream", (stream: ServerHttp2Stream, head) => {
  stream.on("error", () => {});
  const url = new URL(String(head[":path"]), "http://app");
  const answer = answers[url.pathname];
  if (answer !== undefined) answer(stream, head, url);
  else stream.respond({ ":status": 404 }, { endStream: true });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`interop ready address=127.0.0.1:${port}\n`);
});
process.once("SIGTERM", () => process.exit(0));

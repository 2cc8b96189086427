import assert from "node:assert/strict";
import { test } from "node:test";
import { connectTo, httpServer, readAll, socketMesh, textOf } from "../support/socket-mesh.ts";
import { inScope } from "../support/with-proxy.ts";

const SMUGGLING: readonly (readonly [name: string, request: string])[] = [
  [
    "both Content-Length and Transfer-Encoding",
    "POST / HTTP/1.1\r\nhost: up\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nX",
  ],
  ["two Content-Lengths", "POST / HTTP/1.1\r\nhost: up\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"],
  ["a list of Content-Lengths", "POST / HTTP/1.1\r\nhost: up\r\ncontent-length: 5, 5\r\n\r\nhello"],
  ["a signed Content-Length", "POST / HTTP/1.1\r\nhost: up\r\ncontent-length: +5\r\n\r\nhello"],
  ["a folded field", "GET / HTTP/1.1\r\nhost: up\r\nx-a: 1\r\n folded\r\n\r\n"],
  ["a bare LF", "GET / HTTP/1.1\nhost: up\n\n"],
  ["a bare LF between fields", "GET / HTTP/1.1\r\nhost: up\nx: 1\r\n\r\n"],
  ["a space before the colon", "GET / HTTP/1.1\r\nhost : up\r\n\r\n"],
  ["another coding last", "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"],
  ["another coding first", "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
  [
    "two Transfer-Encodings",
    "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["a misspelt coding", "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"],
  ["Transfer-Encoding in HTTP/1.0", "POST / HTTP/1.0\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"],
  ["two Hosts", "GET / HTTP/1.1\r\nhost: up\r\nhost: other\r\n\r\n"],
  ["no Host", "GET / HTTP/1.1\r\nx: 1\r\n\r\n"],
  ["a chunk size with a sign", "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n\r\n"],
  ["a chunk size with 0x", "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"],
  ["a chunk that ends with LF", "POST / HTTP/1.1\r\nhost: up\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"],
  ["a NUL in a value", "GET / HTTP/1.1\r\nhost: up\r\nx: a\0b\r\n\r\n"],
  ["a CR in a value", "GET / HTTP/1.1\r\nhost: up\r\nx: a\rb\r\n\r\n"],
  ["a target that is a name", "GET up HTTP/1.1\r\nhost: up\r\n\r\n"],
  ["another version", "GET / HTTP/1.2\r\nhost: up\r\n\r\n"],
];

test("what two could read differently is refused, and its connection ends", async () => {
  await inScope(async (scope) => {
    const seen: string[] = [];
    const app = await httpServer(scope, (request, response) => {
      request.on("error", () => {});
      seen.push(`${request.method} ${request.url}`);
      void textOf(request).then(
        () => response.end("ok"),
        () => {},
      );
    });
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    for (const [name, text] of SMUGGLING) {
      const socket = await connectTo(scope, address);
      socket.write(`${text}GET /smuggled HTTP/1.1\r\nhost: up\r\n\r\n`, "latin1");
      const answer = (await readAll(socket).catch(() => Buffer.from(""))).toString("latin1");
      assert.match(answer, /^HTTP\/1\.1 (400|431|50\d) /, `${name}: ${answer}`);
      assert.doesNotMatch(answer, /200 OK/, name);
    }
    assert.ok(!seen.includes("GET /smuggled"), seen.join());
  });
});

test("fields that are too large are refused by 431", async () => {
  await inScope(async (scope) => {
    const app = await httpServer(scope, (_request, response) => response.end("ok"));
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    for (const head of [`x: ${"a".repeat(70_000)}\r\n`, "x: 1\r\n".repeat(1001)]) {
      const socket = await connectTo(scope, address);
      socket.write(`GET / HTTP/1.1\r\nhost: up\r\nconnection: close\r\n${head}\r\n`);
      assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 431 /);
    }
  });
});

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { reset } from "../../src/net/reset.ts";
import { connectTo, httpServer, readAll, socketMesh, tcpServer, textOf } from "../support/socket-mesh.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

/** What becomes of requests that a socket sends all at once; what the application was asked, in order. */
async function exchange(text: string): Promise<{ answer: string; asked: string[] }> {
  const asked: string[] = [];
  let answer = "";
  await inScope(async (scope) => {
    const app = await httpServer(scope, (request, response) => {
      void textOf(request).then(async (body) => {
        asked.push(`${request.method} ${request.url} ${request.headers.host} ${body}`.trim());
        // The first one takes longest: answers have to wait for it.
        if (request.url === "/slow") await sleep(50);
        response.setHeader("x-path", request.url ?? "");
        response.setHeader("content-length", 4);
        response.end(request.method === "HEAD" ? undefined : "done");
      });
    });
    const { address } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const socket = await connectTo(scope, address);
    socket.write(text, "latin1");
    answer = (await readAll(socket)).toString("latin1");
  });
  return { answer, asked };
}

const close = "connection: close\r\n\r\n";

test("a target in absolute form says whom a request is for, and goes on in origin form (RFC 9112 §3.2.2)", async () => {
  const { answer, asked } = await exchange(`GET http://up/a?b=1 HTTP/1.1\r\nhost: other\r\n${close}`);
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.deepEqual(asked, ["GET /a?b=1 up"]);
});

test("OPTIONS * is asked of the application, and no other method may have that target", async () => {
  const { answer, asked } = await exchange(`OPTIONS * HTTP/1.1\r\nhost: up\r\n${close}`);
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.deepEqual(asked, ["OPTIONS * up"]);
  const wrong = await exchange(`GET * HTTP/1.1\r\nhost: up\r\n${close}`);
  assert.match(wrong.answer, /^HTTP\/1\.1 400 /);
  assert.deepEqual(wrong.asked, []);
});

test("the answer to HEAD has the length of a body and none, and the next answer is read where it ends", async () => {
  const { answer, asked } = await exchange(
    `HEAD /a HTTP/1.1\r\nhost: up\r\n\r\nGET /b HTTP/1.1\r\nhost: up\r\n${close}`,
  );
  assert.deepEqual(asked.toSorted(), ["GET /b up", "HEAD /a up"]);
  const [, first = "", second = ""] = answer.split(/^HTTP\/1\.1 200 /m);
  assert.match(first, /^content-length: 4\r\n/im);
  assert.ok(first.endsWith("\r\n\r\n"), first);
  assert.ok(second.endsWith("\r\n\r\ndone"), second);
});

test("requests that come one behind the other are answered in their order (RFC 9112 §9.3.2)", async () => {
  const { answer, asked } = await exchange(
    `GET /slow HTTP/1.1\r\nhost: up\r\n\r\nPOST /second HTTP/1.1\r\nhost: up\r\ncontent-length: 2\r\n\r\nhiGET /third HTTP/1.1\r\nhost: up\r\n${close}`,
  );
  assert.deepEqual(asked.toSorted(), ["GET /slow up", "GET /third up", "POST /second up hi"]);
  assert.deepEqual(
    [...answer.matchAll(/^x-path: (\S+)/gm)].map(([, path]) => path),
    ["/slow", "/second", "/third"],
  );
});

test("CONNECT is refused with 405", async () => {
  const { answer, asked } = await exchange("CONNECT up:80 HTTP/1.1\r\nhost: up:80\r\n\r\n");
  assert.match(answer, /^HTTP\/1\.1 405 /);
  assert.deepEqual(asked, []);
});

test("of more than a hundred requests at once the first hundred are answered, and the connection ends", async () => {
  await inScope(async (scope) => {
    const waiting: ServerResponse[] = [];
    const app = await httpServer(scope, (_, response) => {
      waiting.push(response);
      if (waiting.length === 100) for (const one of waiting) one.end("done");
    });
    const { address, inbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address] });
    const socket = await connectTo(scope, address);
    socket.write("GET / HTTP/1.1\r\nhost: up\r\n\r\n".repeat(3000), "latin1");
    const answer = (await readAll(socket)).toString("latin1");
    assert.equal(answer.split("HTTP/1.1 200 ").length - 1, 100);
    assert.equal(waiting.length, 100);
    await inbound.rest();
  });
});

for (const mode of ["disabled", "strict"] as const)
  test(`an application that answers before it has the whole body, and resets at once, has answered (mtls ${mode})`, async () => {
    await inScope(async (scope) => {
      const answer = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\n\r\ntoo much";
      const app = await tcpServer(scope, (socket) => {
        socket.once("data", () => {
          socket.write(answer);
          reset(socket);
        });
      });
      const { address, outbound } = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode });
      for (let times = 0; times < 10; times++) {
        const socket = await connectTo(scope, address);
        let heard = "";
        socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
        socket.write("POST / HTTP/1.1\r\nhost: up\r\ncontent-length: 10000000\r\n\r\n");
        socket.write(Buffer.alloc(1_000_000));
        await eventually(
          () => heard.endsWith("too much"),
          () => `the caller has ${heard}`,
        );
        assert.match(heard, /^HTTP\/1\.1 413 Content Too Large\r\n/);
        socket.destroy();
      }
      await eventually(
        () => outbound.calls.length === 10,
        () => `${outbound.calls.length} calls are over`,
      );
      assert.ok(
        outbound.calls.every(({ http_status, reason }) => http_status === 413 && reason === undefined),
        JSON.stringify(outbound.calls),
      );
    });
  });

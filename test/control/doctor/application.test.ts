import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { type TestContext, test } from "node:test";
import { encodeResponse } from "../../../src/cluster/health-message.ts";
import { checkApplication } from "../../../src/control/doctor/application.ts";
import { freePort } from "../../support/ports.ts";
import { found, wrong } from "./surroundings.ts";

/** A server that answers the health check so, and ends idle connections after so long. */
async function application(
  t: TestContext,
  answer: "SERVING" | "NOT_SERVING" | "UNIMPLEMENTED",
  idle?: number,
): Promise<string> {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.resume();
    if (answer === "UNIMPLEMENTED") {
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "12" }, { endStream: true });
      return;
    }
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(encodeResponse(answer));
  });
  if (idle !== undefined) server.on("session", (session) => session.setTimeout(idle, () => session.close()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const service = (address: string, health = "grpc") => ({ service: { name: "app", address, health } });

test("an application that serves and keeps its connections is in order", async (t) => {
  const findings = await found(checkApplication, service(await application(t, "SERVING")));
  assert.deepEqual(wrong(findings), []);
  assert.equal(findings.length, 3);
  assert.deepEqual(await found(checkApplication, {}), [], "a caller-only sidecar has none");
});

test("one that is not there is an error", async () => {
  const [finding] = wrong(await found(checkApplication, service(`127.0.0.1:${await freePort()}`)));
  assert.match(finding ?? "", /^error: 127\.0\.0\.1:\d+ does not take connections: .*ECONNREFUSED/);
});

test("one that is not serving, or has no health service, is an error that says which", async (t) => {
  const [sick] = wrong(await found(checkApplication, service(await application(t, "NOT_SERVING"))));
  assert.match(sick ?? "", /^error: .* answers grpc\.health\.v1 with NOT_SERVING/);
  const without = service(await application(t, "UNIMPLEMENTED"));
  assert.match(
    wrong(await found(checkApplication, without))[0] ?? "",
    /^error: .* does not answer grpc\.health\.v1: UNIMPLEMENTED/,
  );
  assert.deepEqual(wrong(await found(checkApplication, service(without.service.address, "tcp"))), []);
});

test("one that ends idle connections before the sidecar does is a warning with the time", async (t) => {
  const [finding] = wrong(
    await found(checkApplication, service(await application(t, "SERVING", 100), "tcp"), { patience: 5000 }),
  );
  assert.match(
    finding ?? "",
    /^warning: .* ended an idle connection after [0-9.]+s, by (GOAWAY|a close); the sidecar keeps it open/,
  );
});

test("what speaks no HTTP/2 is found out by its health check", async (t) => {
  const server = createTcpServer((socket) =>
    socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"),
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const [finding] = wrong(
    await found(checkApplication, service(`127.0.0.1:${(server.address() as AddressInfo).port}`)),
  );
  assert.match(finding ?? "", /^error: .* does not answer grpc\.health\.v1/);
});

test("one that speaks HTTP/1.1 is asked in it: its health, and whether it keeps the connection", async (t) => {
  const server = createHttpServer(({ url }, response) => void response.writeHead(url === "/up" ? 204 : 500).end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const web = (healthPath: string) => ({
    service: { name: "app", address, protocol: "http1", health: "http", healthPath },
  });
  const [, answers, keeps] = await found(checkApplication, web("/up"));
  assert.match(answers?.evidence ?? "", /answers GET \/up with 204$/);
  assert.match(keeps?.evidence ?? "", /says that it keeps an idle connection for 5s, which is heeded$/);
  assert.match(wrong(await found(checkApplication, web("/down")))[0] ?? "", /^error: .* answers GET \/down with 500$/);
});

test("one of HTTP/1.1 that ends idle connections and says nothing of it is a warning", async (t) => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
      setTimeout(() => socket.end(), 50);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const web = { service: { name: "app", address, protocol: "http1", health: "http" } };
  const [finding] = wrong(await found(checkApplication, web, { patience: 20_000 }));
  assert.match(finding ?? "", /^warning: .* ended an idle connection after [0-9.]+s without having said so/);
});

test("one of TCP is connected to, and no HTTP/2 is spoken with it", async (t) => {
  let octets = 0;
  const server = createTcpServer((socket) =>
    socket.on("error", () => {}).on("data", ({ length }) => (octets += length)),
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const findings = await found(checkApplication, { service: { name: "app", address, protocol: "tcp", health: "tcp" } });
  assert.deepEqual([findings.length, wrong(findings), octets], [1, [], 0]);
});

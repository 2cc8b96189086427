import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { protocolOf } from "../../src/control/probe.ts";
import { FakeClock } from "../support/clock.ts";
import { ask, raw } from "./http-client.ts";
import { probe, until } from "./probe-harness.ts";

async function dial(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

test("the four pages answer with state and metrics", async (t) => {
  const { address } = await probe(t);
  const pages: [path: string, body: unknown][] = [
    ["/ready", { ready: true }],
    ["/live", { live: true }],
    ["/startup", { started: true }],
  ];
  for (const [path, body] of pages) {
    const reply = await ask(address, path);
    assert.equal(reply.status, 200, path);
    assert.deepEqual(JSON.parse(reply.text), body);
  }
  const metrics = await ask(address, "/metrics");
  assert.equal(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.match(metrics.text, /^x 1$/m);
});

test("a sidecar that starts says so, and has started for good once it was ready", async (t) => {
  const { view, address } = await probe(t);
  const waiting = [{ what: "listeners", since: "2030-01-01T00:00:00.000Z", detail: "not every listener is bound yet" }];
  view.ready = { ready: false, waiting };
  view.wasReady = false;
  for (const path of ["/ready", "/startup"]) {
    const reply = await ask(address, path);
    assert.equal(reply.status, 503, path);
    assert.deepEqual(JSON.parse(reply.text).waiting, waiting);
  }
  view.wasReady = true;
  assert.equal((await ask(address, "/startup")).status, 200);
});

test("whoever asks, under whatever name, gets these four pages by GET and nothing else", async (t) => {
  const { view, address } = await probe(t);
  assert.equal((await ask(address, "/ready", { headers: { host: "10.1.2.3:15021" } })).status, 200);
  assert.match(await raw(address, "GET /ready HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200/);
  for (const path of ["/", "/config", "/clusters", "/connections", "/drain", "/quit", "/log-level", "/ready/x"]) {
    for (const method of ["GET", "POST"]) assert.equal((await ask(address, path, { method })).status, 404, path);
  }
  for (const method of ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    const reply = await ask(address, "/ready", { method });
    assert.equal(reply.status, 405, method);
    assert.equal(reply.headers.allow, "GET");
  }
  assert.deepEqual(view.done, []);
});

test("the first octets say what a connection speaks, however they are cut", async (t) => {
  assert.equal(protocolOf(Buffer.from("PRI ")), "http2");
  assert.equal(protocolOf(Buffer.from("PRI * HTTP/2.0")), "http2");
  for (const start of ["P", "PR", "PRI"]) assert.equal(protocolOf(Buffer.from(start)), "unknown yet");
  for (const start of ["G", "PO", "PRX", "PRI*", "\x16\x03\x01", " PRI"])
    assert.equal(protocolOf(Buffer.from(start)), "http1");

  const { address } = await probe(t);
  for (const request of ["GET /live HTTP/1.1\r\nHost: x\r\n\r\n", "PRIx /live HTTP/1.1\r\nHost: x\r\n\r\n"]) {
    const socket = await dial(t, address.port);
    const closed = once(socket, "close");
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
    });
    for (const octet of request) {
      socket.write(octet);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    assert.match(text, request.startsWith("GET") ? /^HTTP\/1\.1 200/ : /^HTTP\/1\.1 400/);
  }
});

test("what is neither HTTP/1.1 nor HTTP/2 is refused", async (t) => {
  const { address } = await probe(t);
  assert.match(await raw(address, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), /^HTTP\/1\.1 400/);
  assert.match(await raw(address, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400/);
  const goaway = Buffer.from(await raw(address, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"), "latin1");
  // GOAWAY (type 7) on stream 0, last stream 0, PROTOCOL_ERROR; RFC 9113 §6.8.
  assert.ok(goaway.includes(Buffer.from([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])), goaway.toString("hex"));
});

test("an upgrade to h2c is not taken, and the request is answered", async (t) => {
  const { address } = await probe(t);
  const headers = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
  assert.match(await raw(address, `GET /live HTTP/1.1\r\nHost: x\r\n${headers}\r\n`), /^HTTP\/1\.1 200/);
});

test("a 65th connection is closed at once, and its place is free again when one has gone", async (t) => {
  const { address } = await probe(t);
  const sockets: Socket[] = [];
  for (let index = 0; index < 64; index++) sockets.push(await dial(t, address.port));
  const over = await dial(t, address.port);
  await once(over, "close");
  assert.ok(sockets.every((socket) => !socket.closed));
  sockets[10]?.destroy();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal((await ask(address, "/live")).status, 200);
});

test("a client that says nothing, or not enough, is closed in time", async (t) => {
  const clock = new FakeClock();
  const { address } = await probe(t, clock);
  const silent = await dial(t, address.port);
  const hesitant = await dial(t, address.port);
  hesitant.write("PR");
  const slow = await dial(t, address.port);
  slow.write("GET /ready HTTP/1.1\r\nHost:");
  const http2 = await dial(t, address.port);
  http2.write("PRI * HTTP/2.0\r\n");
  // Four wait for octets; of HTTP/2 the handshake and the idle guard wait instead.
  await until(() => clock.pending === 5, "all have arrived");
  await new Promise((resolve) => setTimeout(resolve, 100));

  const over = (socket: Socket): Promise<unknown> => once(socket.resume(), "close");
  clock.advance(4999);
  assert.equal([silent, hesitant, slow, http2].filter((socket) => socket.closed).length, 0);
  clock.advance(1);
  await Promise.all([silent, hesitant, http2].map(over));
  slow.write(" x\r\n");
  clock.advance(4999);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(!slow.closed);
  clock.advance(1);
  await over(slow);
});

test("a client that does not take its answer is closed in time", async (t) => {
  const clock = new FakeClock();
  const { view, address } = await probe(t, clock);
  view.metrics = async () => ({ contentType: "text/plain", text: "x".repeat(20_000_000) });
  const socket = await dial(t, address.port);
  socket.pause().write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  await new Promise((resolve) => setTimeout(resolve, 100));
  clock.advance(10_000);
  // What the kernel holds may still be read; the rest never comes.
  let size = 0;
  socket.on("data", (chunk: Buffer) => {
    size += chunk.length;
  });
  await once(socket.resume(), "close");
  assert.ok(size < 20_000_000, `${size} octets`);
});

test("however many scrape, the metrics are rendered a few times", async (t) => {
  const { view, address } = await probe(t);
  view.metrics = async () => {
    view.scrapes++;
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { contentType: "text/plain", text: `scrape ${view.scrapes}\n` };
  };
  for (let round = 0; round < 3; round++) {
    const replies = await Promise.all(Array.from({ length: 30 }, () => ask(address, "/metrics")));
    assert.ok(replies.every(({ status }) => status === 200));
  }
  assert.ok(view.scrapes <= 10, `${view.scrapes} times`);
});

test("a scrape that failed is tried again", async (t) => {
  const { view, address } = await probe(t);
  const text = { contentType: "text/plain", text: "x 1\n" };
  view.metrics = () => Promise.reject(new Error("not now"));
  assert.equal((await ask(address, "/metrics")).status, 500);
  view.metrics = () => Promise.resolve(text);
  assert.equal((await ask(address, "/metrics")).status, 200);
});

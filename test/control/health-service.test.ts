import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { HealthStatus } from "../../src/control/view.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Watch } from "../../src/core/watch.ts";
import { type Head, HeaderTable } from "../../src/http/headers.ts";
import { Connection } from "../../src/http2/connection.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { defaultLimits } from "../../src/http2/limits.ts";
import { FakeClock } from "../support/clock.ts";
import { runProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { HealthClient } from "./health-client.ts";
import { probe, until } from "./probe-harness.ts";

test("Check asks the application each time and says what it says", async (t) => {
  const { view, client } = await probe(t);
  assert.equal(await client.check(""), "SERVING");
  view.health.get("")?.set("NOT_SERVING");
  assert.equal(await client.check(""), "NOT_SERVING");
  view.health.set("user.v1.UserService", new Watch<HealthStatus>("SERVING"));
  assert.equal(await client.check("user.v1.UserService"), "SERVING");
  assert.equal(await client.check("ünknown"), "5 the application does not know that service");
  assert.deepEqual(view.asked, ["", "", "user.v1.UserService", "ünknown"]);
});

test("an application that cannot be asked is not serving", async (t) => {
  const { view, client } = await probe(t);
  view.answer = () => Promise.reject(new Error("gone"));
  assert.equal(await client.check(""), "NOT_SERVING");
});

test("Watch tells the state at once and each change, until its caller goes", async (t) => {
  const { view, client } = await probe(t);
  const seen: string[] = [];
  const call = client.watch("");
  call.on("data", (status: string) => seen.push(status)).on("error", () => {});
  await until(() => seen.length === 1, "the first state");
  const app = view.health.get("");
  app?.set("NOT_SERVING");
  await until(() => seen.length === 2, "the second state");
  app?.set("NOT_SERVING");
  app?.set("SERVING");
  await until(() => seen.length === 3, "the third state");
  assert.deepEqual(seen, ["SERVING", "NOT_SERVING", "SERVING"]);
  assert.equal(view.watchers, 1);
  call.cancel();
  await until(() => view.watchers === 0, "the watch ends");
});

test("Watch of a service that is not known says so and goes on", async (t) => {
  const { view, client } = await probe(t);
  const call = client.watch("later").on("error", () => {});
  assert.deepEqual(await once(call, "data"), ["SERVICE_UNKNOWN"]);
  assert.equal(view.watchers, 1);
  call.cancel();
  await until(() => view.watchers === 0, "the watch ends");
});

test("any other method is UNIMPLEMENTED", async (t) => {
  const { client } = await probe(t);
  for (const path of [
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/",
    "/grpc.health.v1.Health/Check/",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/ready",
  ])
    assert.equal(await client.check("", path), "12 here is grpc.health.v1.Health only, with Check and Watch", path);
});

test("many who ask the same are one question, and too many different ones are refused", async (t) => {
  const { view, client } = await probe(t);
  let release: (status: HealthStatus) => void = () => {};
  const gate = new Promise<HealthStatus>((resolve) => {
    release = resolve;
  });
  view.answer = () => gate;
  const same = Array.from({ length: 10 }, () => client.check("same"));
  await until(() => view.asked.length === 1, "the question");
  release("SERVING");
  assert.deepEqual(new Set(await Promise.all(same)), new Set(["SERVING"]));
  assert.deepEqual(view.asked, ["same"]);
});

test("checks of different names and watches are bounded over all connections", async (t) => {
  const { view, address } = await probe(t);
  const clients = Array.from({ length: 6 }, () => new HealthClient(address));
  t.after(() => {
    for (const client of clients) client.close();
  });
  let release: (status: HealthStatus) => void = () => {};
  const gate = new Promise<HealthStatus>((resolve) => {
    release = resolve;
  });
  view.answer = () => gate;
  const checks = clients.flatMap((client, at) => [1, 2, 3, 4, 5, 6, 7].map((index) => client.check(`s${at}-${index}`)));
  const refused: string[] = [];
  for (const check of checks) void check.then((text) => text.startsWith("8 ") && refused.push(text));
  await until(() => refused.length === 42 - 32, "10 refusals");
  assert.equal(view.asked.length, 32);
  assert.equal(refused[0], "8 too many health checks at once");
  release("SERVING");
  await Promise.all(checks);

  const failures: unknown[] = [];
  for (const client of clients) {
    for (let index = 0; index < 12; index++) {
      client
        .watch("")
        .on("data", () => {})
        .on("error", (error) => failures.push(error));
    }
  }
  await until(() => view.watchers === 64 && failures.length === 8, "64 watches and 8 refusals");
  assert.match(String(failures[0]), /RESOURCE_EXHAUSTED: too many watches at once/);
});

interface Answer {
  readonly head: Record<string, string>;
  readonly data: Buffer;
  readonly trailers: Record<string, string>;
}

/** One request by our own engine, with any head and body; `onData` sees each message as it comes. */
async function call(
  port: number,
  head: readonly (readonly [string, string])[],
  body: Buffer | undefined,
  onData: (socket: Socket) => void = () => {},
): Promise<Answer> {
  const headers = new HeaderTable();
  const services = { clock: systemClock, loop: new FlushLoop(systemClock), headers };
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const plain = (list: Head): Record<string, string> =>
    Object.fromEntries([...list.entries()].map(([name, value]) => [name, value]));
  const answer = { head: {}, data: Buffer.alloc(0), trailers: {} };
  return await new Promise((resolve, reject) => {
    const done = (): void => {
      resolve(answer);
      connection.close("done");
    };
    const connection = new Connection(
      socket,
      services,
      { role: "client", limits: defaultLimits, reuse: "atOnce", announce: false },
      {
        onStream() {},
        onCapacity() {},
        onGoaway() {},
        onClose: (cause) => reject(new Error(cause.reason)),
        onFault: reject,
      },
    );
    const stream = connection.openStream(headers.head(head), body === undefined, {
      onInformational() {},
      onHead(list, end) {
        answer.head = plain(list);
        if (end) done();
      },
      onData(buffer, start, end) {
        answer.data = Buffer.concat([answer.data, buffer.subarray(start, end)]);
        onData(socket);
      },
      onTrailers(list) {
        answer.trailers = plain(list);
        done();
      },
      onSent() {},
      onAbort: (abort) => reject(new Error(abort.kind)),
    });
    if (body !== undefined) stream.sendData(body, 0, body.length, true);
  });
}

const checkHead = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/grpc.health.v1.Health/Check"],
  [":authority", "localhost"],
  ["te", "trailers"],
  ["content-type", "application/grpc"],
] as const;
const replaced = (name: string, value: string): (readonly [string, string])[] =>
  checkHead.map(([key, old]) => [key, key === name ? value : old]);

test("a watch ends with its connection", async (t) => {
  const { view, address } = await probe(t);
  const watching = call(address.port, replaced(":path", "/grpc.health.v1.Health/Watch"), Buffer.alloc(5), (socket) => {
    assert.equal(view.watchers, 1);
    socket.destroy();
  });
  await assert.rejects(watching, /lost/);
  await until(() => view.watchers === 0, "the watch ends");
});

test("an answer of Check is a head, five octets and a message, and the status in the trailers", async (t) => {
  const { address } = await probe(t);
  const answer = await call(address.port, checkHead, Buffer.from([0, 0, 0, 0, 0]));
  assert.deepEqual(answer.head, { ":status": "200", "content-type": "application/grpc" });
  assert.deepEqual([...answer.data], [0, 0, 0, 0, 2, 8, 1]);
  assert.deepEqual(answer.trailers, { "grpc-status": "0" });
});

test("requests that are none of grpc.health.v1 are refused with a status", async (t) => {
  const { view, address } = await probe(t);
  const name = Buffer.concat([Buffer.from([0, 0, 0, 0, 3, 0x0a, 1]), Buffer.from("x")]);
  const bad: [body: Buffer | undefined, status: string][] = [
    [undefined, "3"],
    [Buffer.from([0, 0, 0, 0, 9]), "3"],
    [Buffer.from([0, 0, 0, 0, 2, 0x0a, 200]), "3"],
    [Buffer.concat([name, name]), "3"],
    [Buffer.from([1, 0, 0, 0, 0]), "12"],
    [Buffer.alloc(70_000), "3"],
  ];
  for (const [body, status] of bad) {
    const answer = await call(address.port, checkHead, body);
    assert.equal(answer.head["grpc-status"], status, `${body?.subarray(0, 10).toString("hex")}`);
    assert.equal(answer.data.length, 0);
  }
  assert.deepEqual(view.asked, []);
});

test("HTTP/2 requests that are no gRPC are refused as HTTP", async (t) => {
  const { address } = await probe(t);
  const status = async (head: readonly (readonly [string, string])[]): Promise<string | undefined> =>
    (await call(address.port, head, undefined)).head[":status"];
  const get = (path: string): (readonly [string, string])[] => [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "x"],
  ];
  assert.equal(await status(get("/ready")), "404");
  assert.equal(await status(get("/grpc.health.v1.Health/Check")), "415");
  assert.equal(await status(replaced("content-type", "application/json")), "415");
  assert.equal(await status(replaced(":method", "GET")), "405");
  assert.equal(await status([...checkHead, ["x-large", "x".repeat(20_000)]]), "431");
});

test("an HTTP/2 connection without a call is closed, and so is one whose peer is gone", async (t) => {
  const clock = new FakeClock();
  const { view, address } = await probe(t, clock);
  const preface = Buffer.from(
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x04\x01\x00\x00\x00\x00",
    "latin1",
  );
  const idle = connect(address.port, "127.0.0.1").on("error", () => {});
  idle.write(preface);
  await once(idle, "data");

  const { client } = await probe(t, clock);
  client.close();
  const watcher = new HealthClient(address);
  await once(
    watcher.watch("").on("error", () => {}),
    "data",
  );
  assert.equal(view.watchers, 1);

  clock.advance(30_000);
  clock.advance(2000);
  await once(idle.resume(), "close");
  // grpc-js has answered the PING and stays.
  await new Promise((resolve) => setTimeout(resolve, 50));
  clock.advance(30_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(view.watchers, 1);
  // Two ticks without a turn of the loop between them: the PING cannot have been answered.
  clock.advance(60_000);
  await until(() => view.watchers === 0, "the watch of the silent peer ends");
  watcher.close();
});

test("grpcurl finds the application healthy", skipUnless("grpcurl"), async (t) => {
  const { address } = await probe(t);
  const protos = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "services/user/api");
  const { stdout, code } = await runProcess(requirePart("grpcurl"), [
    "-plaintext",
    "-import-path",
    protos,
    "-proto",
    "grpc/health/v1/health.proto",
    `127.0.0.1:${address.port}`,
    "grpc.health.v1.Health/Check",
  ]);
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout), { status: "SERVING" });
});

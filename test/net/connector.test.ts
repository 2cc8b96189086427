import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../src/core/address.ts";
import { systemClock } from "../../src/core/clock.ts";
import { type DialResult, dial } from "../../src/net/connector.ts";
import { FakeClock, settled } from "../support/clock.ts";
import { freePort } from "../support/ports.ts";

const tcp = (port: number, host = "127.0.0.1"): Address => ({ kind: "tcp", host, port });

interface Dialled {
  readonly result: DialResult;
  readonly received: Buffer[];
}

/** Dials and waits for what comes of it; what is received is copied, for it is ours during the call only. */
function dialled(address: Address, clock = systemClock): Promise<Dialled> {
  const received: Buffer[] = [];
  return new Promise((resolve) => {
    const receive = (chunk: Buffer) => void received.push(Buffer.from(chunk));
    dial(address, { clock }, { receive, done: (result) => resolve({ result, received }) });
  });
}

function connectedOf({ result }: Dialled): Socket {
  assert.ok(result.kind === "connected", result.kind === "failed" ? result.message : "");
  return result.socket;
}

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "dial-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a dialled socket hands over what comes in, and ends, fails and closes by its events", async () => {
  const server = createServer((socket) => socket.end("hello"));
  const dial = await dialled(tcp(await listening(server)));
  const socket = connectedOf(dial);
  await once(socket, "end");
  await once(socket, "close");
  assert.equal(Buffer.concat(dial.received).toString(), "hello");
  server.close();
});

test("sockets that read at the same time do not get each other's octets", async () => {
  const size = 300_000;
  const server = createServer((socket) => {
    socket.once("data", (which) => socket.end(Buffer.alloc(size, which)));
  });
  const port = await listening(server);
  await Promise.all(
    Array.from({ length: 8 }, async (_, at) => {
      const dial = await dialled(tcp(port));
      const socket = connectedOf(dial);
      socket.write(String(at));
      await once(socket, "end");
      assert.ok(Buffer.concat(dial.received).equals(Buffer.alloc(size, String(at))), `socket ${at}`);
      if (!socket.destroyed) await once(socket, "close");
    }),
  );
  server.close();
});

test("a refused connection says where, and that nothing listens there", async () => {
  const port = await freePort();
  const { result } = await dialled(tcp(port));
  assert.deepEqual(result, {
    kind: "failed",
    reason: "CONNECT_REFUSED",
    message: `cannot connect to 127.0.0.1:${port}: connection refused, nothing listens there`,
  });
});

test("a host that has both address families is refused once, when both are", async () => {
  const port = await freePort();
  const { result } = await dialled(tcp(port, "localhost"));
  assert.ok(result.kind === "failed");
  assert.equal(result.reason, "CONNECT_REFUSED");
  assert.match(result.message, new RegExp(`^cannot connect to localhost:${port}: connection refused`));
});

test("an address without a host is this machine", async () => {
  const server = createServer((socket) => socket.end("x"));
  const socket = connectedOf(await dialled(tcp(await listening(server), "")));
  await once(socket, "close");
  server.close();
});

test("a name that does not resolve is a failure of its own", async () => {
  const { result } = await dialled(tcp(1, "no-such-host.invalid"));
  assert.ok(result.kind === "failed");
  assert.equal(result.reason, "CONNECT_FAILED");
  assert.match(result.message, /^cannot connect to no-such-host\.invalid:1: the name (does not|could not be) resolve/);
});

test("a dial that nobody answers ends after 5 s, or what it was given, and leaves nothing", async () => {
  const server = createServer();
  const port = await listening(server);
  const clock = new FakeClock();
  const results: DialResult[] = [];
  const handler = { receive() {}, done: (result: DialResult) => void results.push(result) };
  dial(tcp(port), { clock }, handler);
  dial(tcp(port), { clock, timeout: 100 }, handler);
  clock.advance(99);
  assert.equal(results.length, 0);
  clock.advance(1);
  assert.equal(results.length, 1);
  clock.advance(4899);
  assert.equal(results.length, 1);
  clock.advance(1);
  assert.deepEqual(
    results.map((result) => result.kind === "failed" && [result.reason, result.message]),
    [100, 5000].map((ms) => [
      "CONNECT_TIMEOUT",
      `no connection to 127.0.0.1:${port} within ${ms} ms: ` +
        "maybe the machine is gone or a firewall or network policy drops the packets",
    ]),
  );
  assert.equal(clock.pending, 0);
  server.close();
});

test("a dial that is given up tells nobody and leaves no timer", async () => {
  const server = createServer();
  const port = await listening(server);
  const clock = new FakeClock();
  let told = 0;
  const giveUp = dial(tcp(port), { clock }, { receive() {}, done: () => void told++ });
  giveUp();
  giveUp();
  const refused = dial(tcp(await freePort()), { clock }, { receive() {}, done: () => void told++ });
  refused();
  await settled();
  await sleep(20);
  assert.equal(told, 0);
  assert.equal(clock.pending, 0);
  const connections = await new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
  assert.equal(connections, 0);
  server.close();
});

test("unix sockets are dialled; a missing one, a left one, a forbidden one and a file say what they are", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "s");
    const unix = (name: string): Address => ({ kind: "unix", path: join(folder, name), mode: 0o600 });
    const server = createServer((socket) => socket.end("unix"));
    await once(server.listen(path), "listening");
    const dial = await dialled(unix("s"));
    await once(connectedOf(dial), "close");
    assert.equal(Buffer.concat(dial.received).toString(), "unix");
    server.close();

    const missing = await dialled(unix("none"));
    assert.ok(missing.result.kind === "failed");
    assert.equal(missing.result.reason, "CONNECT_REFUSED");
    assert.match(
      missing.result.message,
      /^cannot connect to unix:.*\/none: there is no such socket, maybe its process/,
    );

    await writeFile(join(folder, "file"), "");
    const file = await dialled(unix("file"));
    assert.ok(file.result.kind === "failed");
    assert.equal(file.result.reason, "CONNECT_REFUSED");
    assert.match(file.result.message, /nobody listens on the socket any more$/);
  });
});

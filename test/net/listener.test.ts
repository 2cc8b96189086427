import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { BindError } from "../../src/net/bind-error.ts";
import { Listener, type ListenerHandler } from "../../src/net/listener.ts";
import { socketsOf } from "../support/process-sockets.ts";
import { eventually } from "../support/with-proxy.ts";

const anyPort: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };

interface Seen {
  readonly sockets: Socket[];
  readonly peers: string[];
  refused: number;
  readonly handler: ListenerHandler;
}

function watcher(): Seen {
  const seen: Seen = {
    sockets: [],
    peers: [],
    refused: 0,
    handler: {
      onConnection(socket, peer) {
        socket.on("error", () => {});
        seen.sockets.push(socket);
        seen.peers.push(peer);
      },
      onRefused: () => void seen.refused++,
      onError(error) {
        throw error;
      },
    },
  };
  return seen;
}

function portOf({ address }: Listener): number {
  assert.ok(address.kind === "tcp");
  return address.port;
}

async function dialled(where: { port: number; host?: string } | { path: string }): Promise<Socket> {
  const socket = connect(where);
  await once(socket, "connect");
  return socket;
}

async function bindErrorOf(address: Address): Promise<BindError> {
  const found: unknown = await Listener.bind(address, {}, watcher().handler).catch((error: unknown) => error);
  assert.ok(found instanceof BindError, String(found));
  return found;
}

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "listen-"));
  try {
    await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a listener says which port it got, takes connections and names their peers", async () => {
  const seen = watcher();
  const listener = await Listener.bind(anyPort, {}, seen.handler);
  assert.ok(portOf(listener) > 0);
  const socket = await dialled({ port: portOf(listener), host: "127.0.0.1" });
  socket.write("x");
  await once(seen.sockets[0] ?? assert.fail(), "data");
  assert.deepEqual(seen.peers, [`127.0.0.1:${socket.localPort}`]);
  assert.deepEqual([listener.connections, listener.accepted, listener.refused], [1, 1, 0]);
  await listener.close();
  await once(socket, "close");
  assert.equal(listener.connections, 0);
});

test("an address without a host takes both address families, and shows IPv4 peers as such", async () => {
  const seen = watcher();
  const listener = await Listener.bind({ kind: "tcp", host: "", port: 0 }, {}, seen.handler);
  assert.deepEqual(listener.address, { kind: "tcp", host: "", port: portOf(listener) });
  const four = await dialled({ port: portOf(listener), host: "127.0.0.1" });
  const six = await dialled({ port: portOf(listener), host: "::1" }).catch(() => undefined);
  const expected = [`127.0.0.1:${four.localPort}`, ...(six === undefined ? [] : [`[::1]:${six.localPort}`])];
  while (seen.peers.length < expected.length) await new Promise(setImmediate);
  assert.deepEqual(seen.peers, expected);
  await listener.close();
});

test("connections over the limit are closed at once and counted, and others are taken when there is room again", async () => {
  const seen = watcher();
  const listener = await Listener.bind(anyPort, { limits: { maxConnections: 2 } }, seen.handler);
  const where = { port: portOf(listener), host: "127.0.0.1" };
  const first = await dialled(where);
  await dialled(where);
  const third = await dialled(where);
  await once(
    third.on("error", () => {}),
    "close",
  );
  assert.deepEqual([seen.refused, listener.refused, listener.accepted, listener.connections], [1, 1, 2, 2]);
  first.destroy();
  await once(seen.sockets[0]?.resume() ?? assert.fail(), "close");
  await dialled(where);
  while (listener.accepted < 3) await new Promise(setImmediate);
  assert.equal(listener.connections, 2);
  assert.equal(listener.limits.maxConnections, 2);
  await listener.close();
});

test("one more than may be is taken where another one makes room for it, and closed where none can", async () => {
  const seen = watcher();
  const handler = {
    ...seen.handler,
    makeRoom: () => {
      const idle = seen.sockets.find((socket) => !socket.destroyed && socket !== seen.sockets[1]);
      idle?.destroy();
      return idle !== undefined;
    },
  };
  const listener = await Listener.bind(anyPort, { limits: { maxConnections: 1 } }, handler);
  const where = { port: portOf(listener), host: "127.0.0.1" };
  await dialled(where);
  await dialled(where);
  while (listener.accepted < 2) await new Promise(setImmediate);
  assert.deepEqual([seen.sockets[0]?.destroyed, seen.sockets[1]?.destroyed, seen.refused], [true, false, 0]);
  const third = await dialled(where);
  await once(third.on("error", () => {}).resume(), "close");
  assert.deepEqual([seen.refused, listener.accepted, listener.connections], [1, 2, 1]);
  await listener.close();
});

test("a listener that stopped accepting keeps its connections and frees its address at once", async () => {
  const seen = watcher();
  const listener = await Listener.bind(anyPort, {}, seen.handler);
  const socket = await dialled({ port: portOf(listener), host: "127.0.0.1" });
  while (listener.connections === 0) await new Promise(setImmediate);
  listener.stopAccepting();
  listener.stopAccepting();
  const again = await Listener.bind({ kind: "tcp", host: "127.0.0.1", port: portOf(listener) }, {}, watcher().handler);
  await again.close();
  seen.sockets[0]?.write("still here");
  const [answer] = await once(socket, "data");
  assert.equal(String(answer), "still here");
  await listener.close();
});

test("several sockets take connections of one address, whose port is free again at once", async () => {
  const seen = watcher();
  const listener = await Listener.bind(anyPort, { doors: 4 }, seen.handler);
  const address: Address = { ...anyPort, port: portOf(listener) };
  const clients = await Promise.all(Array.from({ length: 40 }, () => dialled({ port: address.port })));
  await eventually(
    () => listener.connections === 40,
    () => `40 connections, not ${listener.connections}`,
  );
  assert.equal(listener.accepted, 40);
  assert.equal(new Set(seen.peers).size, 40);
  assert.match((await bindErrorOf(address)).message, /the port is in use by node/);
  const beside: unknown = await Listener.bind(address, { doors: 4 }, seen.handler).catch((error: unknown) => error);
  assert.ok(beside instanceof BindError, "nor does another one with several share it");
  listener.stopAccepting();
  const next = await Listener.bind(address, { doors: 4 }, seen.handler);
  assert.equal(listener.connections, 40, "those that are open stay");
  for (const client of clients) client.destroy();
  await Promise.all([listener.close(), next.close()]);
});

test("a port in use is an error that names it and who holds it", async () => {
  const listener = await Listener.bind(anyPort, {}, watcher().handler);
  const error = await bindErrorOf(listener.address);
  assert.equal(error.code, "EADDRINUSE");
  const port = portOf(listener);
  assert.match(
    error.message,
    new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use by .+ \\(pid ${process.pid}\\)$`),
  );
  assert.deepEqual(error.address, listener.address);
  await listener.close();
});

test("an address that this machine does not have, and a name that does not resolve, are errors that say so", async () => {
  const foreign = await bindErrorOf({ kind: "tcp", host: "192.0.2.1", port: 0 });
  assert.equal(foreign.message, "cannot listen on 192.0.2.1:0: no interface of this machine has that address");
  const unknown = await bindErrorOf({ kind: "tcp", host: "no-such-host.invalid", port: 0 });
  assert.equal(unknown.message, "cannot listen on no-such-host.invalid:0: the host name does not resolve");
});

test("a unix socket gets its mode, and is gone when the listener is", async () => {
  await inFolder(async (folder) => {
    for (const mode of [0o600, 0o660, 0o666]) {
      const path = join(folder, "s");
      const seen = watcher();
      const listener = await Listener.bind({ kind: "unix", path, mode }, {}, seen.handler);
      assert.equal((await stat(path)).mode & 0o777, mode);
      const socket = await dialled({ path });
      while (seen.peers.length === 0) await new Promise(setImmediate);
      assert.deepEqual(seen.peers, ["unix"]);
      await listener.close();
      socket.destroy();
      await assert.rejects(stat(path), { code: "ENOENT" });
    }
  });
});

test("a unix socket that a dead process left is replaced, one on which somebody answers is not", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "s");
    const address: Address = { kind: "unix", path, mode: 0o600 };
    const other = createServer();
    await once(other.listen(path), "listening");
    const error = await bindErrorOf(address);
    assert.equal(error.code, "EADDRINUSE");
    assert.match(error.message, /^cannot listen on unix:.*\/s: another process answers there, maybe a sidecar/);
    await dialled({ path }).then((socket) => socket.destroy());

    // The file of a process that was killed: nobody removed it.
    const left = join(folder, "left");
    const script = `require("node:net").createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", script]);
    assert.ok((await stat(left)).isSocket());
    const listener = await Listener.bind({ kind: "unix", path: left, mode: 0o600 }, {}, watcher().handler);
    const socket = await dialled({ path: left });
    socket.destroy();
    await listener.close();
    await new Promise((resolve) => other.close(resolve));
  });
});

test("a file in the place of a unix socket is left alone, and a missing folder is named", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "notes");
    await writeFile(path, "precious");
    const file = await bindErrorOf({ kind: "unix", path, mode: 0o600 });
    assert.match(file.message, /\/notes: there is a file that is no socket; move it away$/);
    assert.ok((await stat(path)).isFile());
    const missing = await bindErrorOf({ kind: "unix", path: join(folder, "no", "s"), mode: 0o600 });
    assert.match(missing.message, /\/no\/s: the folder of the socket does not exist$/);
  });
});

test("the kernel watches accepted connections for callers that are gone without a word", async () => {
  const seen = watcher();
  const listener = await Listener.bind(anyPort, {}, seen.handler);
  assert.ok(listener.address.kind === "tcp");
  const caller = connect(listener.address.port, "127.0.0.1");
  await once(caller, "connect");
  while (seen.sockets.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const remote = `127.0.0.1:${caller.localPort}`;
  const accepted = (await socketsOf(process.pid)).find((socket) => socket.remote === remote);
  assert.equal(accepted?.keepalive, true);
  caller.destroy();
  for (const socket of seen.sockets) socket.destroy();
  await listener.close();
});

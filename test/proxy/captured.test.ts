import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { pino } from "pino";
import type { Address } from "../../src/core/address.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Captured, type Passage } from "../../src/proxy/captured.ts";
import { LoopGuard, sharedEnds } from "../../src/proxy/loop-guard.ts";
import { type RelayCounts, Relays } from "../../src/proxy/relay.ts";
import type { Arrival } from "../../src/proxy/sockets/socket-acceptor.ts";
import { FakeClock } from "../support/clock.ts";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/with-proxy.ts";

type Tcp = Extract<Address, { kind: "tcp" }>;

interface World {
  /** What was taken as HTTP/1.1, or as a call of an upstream. */
  readonly calls: readonly (Arrival & { readonly upstream?: string })[];
  readonly client: Socket;
  readonly relays: Relays;
  readonly counts: RelayCounts;
  readonly counted: string[];
  readonly mesh: { readonly socket: Socket; readonly arrived: string }[];
  readonly clock: FakeClock;
}

async function listen(t: TestContext, take: (socket: Socket) => void): Promise<Tcp> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    take(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { kind: "tcp", host: "127.0.0.1", port: address.port };
}

/** A client whose connection was redirected on its way to `to`; `known`: whether this process can find that out. */
async function captured(
  t: TestContext,
  to: Address | undefined,
  passage: (to: Address) => Passage,
  takesHttp1 = false,
  known: "known" | "nobody can tell" = "known",
): Promise<World> {
  const counts: RelayCounts = { sent: 0, received: 0 };
  const clock = new FakeClock();
  const loops = new LoopGuard();
  const relays = new Relays({ clock: systemClock, counts, loops });
  const counted: string[] = [];
  const mesh: { readonly socket: Socket; readonly arrived: string }[] = [];
  const calls: (Arrival & { readonly upstream?: string })[] = [];
  const taker = new Captured({
    direction: "outbound",
    destination: known === "known" ? () => to : undefined,
    passage,
    mesh: (socket, _peer, arrived) => mesh.push({ socket, arrived: arrived?.toString("latin1") ?? "" }),
    takesHttp1: () => takesHttp1,
    http1: (arrival) => calls.push(arrival),
    named: (name) => (name === "api.payments.example" ? "payments" : undefined),
    call: (arrival, upstream) => calls.push({ ...arrival, upstream }),
    relays,
    loops,
    counted: (result, spoken) => counted.push(`${result} ${spoken}`),
    clock,
    log: pino({ level: "silent" }),
  });
  const door = await listen(t, (socket) => taker.take(socket, "client"));
  const client = connect({ port: door.port, host: door.host, allowHalfOpen: true });
  client.on("error", () => {});
  t.after(() => {
    client.destroy();
    relays.closeAll();
  });
  // A refused one may be reset before it is told that it stands.
  await new Promise<void>((resolve) => {
    client.once("connect", () => resolve());
    client.once("close", () => resolve());
  });
  return { client, relays, counts, counted, mesh, calls, clock };
}

/** Resolves when it is closed, however that came about. */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

const look = (onward: Address): Passage => ({ kind: "look", onward });

async function textOf(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test("a server that speaks first is heard before the client has said anything, and each half ends by itself", async (t) => {
  let request = "";
  const server = await listen(t, (socket) => {
    socket.write("220 hello\r\n");
    socket.on("data", (chunk: Buffer) => {
      request += chunk.toString();
    });
    socket.on("end", () => socket.end("bye"));
  });
  const { client, counted, relays, counts, clock } = await captured(t, server, look);
  const [first]: unknown[] = await once(client, "data");
  assert.equal(String(first), "220 hello\r\n");
  assert.equal(clock.pending, 0, "nobody's word is waited for by time");
  client.end("QUIT\r\n");
  assert.equal(await textOf(client), "bye");
  assert.equal(request, "QUIT\r\n");
  assert.deepEqual(counted, ["relayed unknown yet"]);
  await eventually(
    () => relays.size === 0,
    () => "it comes to pass",
    20_000,
  );
  assert.deepEqual(counts, { sent: 6, received: 14 });
});

for (const [what, said, spoken] of [
  ["HTTP/1", "GET / HTTP/1.1\r\n\r\n", "http1"],
  ["TLS", "\x16\x03\x01", "tls"],
  ["anything else", "*1\r\n$4\r\nPING\r\n", "other"],
] as const) {
  test(`${what} goes on to where it was going, to the octet`, async (t) => {
    const server = await listen(t, (socket) => socket.pipe(socket));
    const { client, counted } = await captured(t, server, look);
    client.end(Buffer.from(said, "latin1"));
    assert.equal(await textOf(client), said);
    assert.deepEqual(counted, [`relayed ${spoken}`]);
  });
}

test("HTTP/2 goes into the mesh with what has been read of it, and where it was going is left alone", async (t) => {
  let closed = false;
  const server = await listen(t, (socket) => socket.on("end", () => (closed = true)).resume());
  const { client, counted, mesh } = await captured(t, server, look);
  client.write("PR");
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(mesh.length, 0);
  client.write("I * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await eventually(
    () => mesh.length === 1,
    () => "it comes to pass",
    20_000,
  );
  assert.match(mesh.at(0)?.arrived ?? "", /^PRI \*/);
  assert.deepEqual(counted, ["mesh http2"]);
  await eventually(
    () => closed,
    () => "it comes to pass",
    20_000,
  );
});

test("HTTP/2 goes into the mesh also where its address leads nowhere", async (t) => {
  const nowhere: Tcp = { kind: "tcp", host: "127.0.0.1", port: await freePort() };
  const { client, mesh } = await captured(t, nowhere, look);
  await new Promise((resolve) => setTimeout(resolve, 50));
  client.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await eventually(
    () => mesh.length === 1,
    () => "it comes to pass",
    20_000,
  );
});

test("a connection to where nobody listens is reset: at once when the client has spoken, else after its last word", async (t) => {
  const nowhere: Tcp = { kind: "tcp", host: "127.0.0.1", port: await freePort() };
  const spoken = await captured(t, nowhere, look);
  spoken.client.write("GET / HTTP/1.1\r\n\r\n");
  await closing(spoken.client);
  assert.deepEqual(spoken.counted, ["unreachable http1"]);
  const silent = await captured(t, nowhere, look);
  await eventually(
    () => silent.clock.pending > 0,
    () => "it comes to pass",
    20_000,
  );
  silent.clock.advance(1000);
  await closing(silent.client);
  assert.deepEqual(silent.counted, ["unreachable unknown yet"]);
});

test("where nobody can tell where a connection was going, HTTP/2 goes into the mesh, and everything else is refused", async (t) => {
  const mesh = await captured(t, undefined, look, false, "nobody can tell");
  mesh.client.write("PRI * HTTP/2.0\r\n");
  await eventually(
    () => mesh.mesh.length === 1,
    () => "it comes to pass",
    20_000,
  );
  assert.deepEqual(mesh.counted, ["mesh http2"]);
  const other = await captured(t, undefined, look, false, "nobody can tell");
  other.client.write("GET / HTTP/1.1\r\n\r\n");
  await closing(other.client);
  assert.deepEqual(other.counted, ["refused http1"]);
});

for (const threads of [1, 2])
  test(`a connection of the sidecar itself that is redirected back to it ends there, with ${threads} threads`, async (t) => {
    const ends = sharedEnds();
    const counts: RelayCounts = { sent: 0, received: 0 };
    const counted: string[] = [];
    let came = 0;
    // As if the rules did not leave out the sidecar's user: whatever is dialled comes in again, with several threads at another one.
    const door = await listen(t, (socket) => takers[came++ % threads]?.captured.take(socket, "client"));
    const takers = Array.from({ length: threads }, () => {
      const loops = new LoopGuard(ends);
      const relays = new Relays({ clock: systemClock, counts, loops });
      const captured = new Captured({
        direction: "outbound",
        destination: () => ({ kind: "tcp", host: "192.0.2.1", port: 80 }),
        passage: () => look(door),
        mesh: () => assert.fail("it is no HTTP/2"),
        takesHttp1: () => false,
        http1: () => assert.fail("nobody speaks HTTP/1.1"),
        named: () => undefined,
        call: () => assert.fail("there is no upstream"),
        relays,
        loops,
        counted: (result, spoken) => counted.push(`${result} ${spoken}`),
        clock: systemClock,
        log: pino({ level: "silent" }),
      });
      return { captured, relays };
    });
    const client = connect({ port: door.port, host: door.host });
    client.on("error", () => {});
    t.after(() => client.destroy());
    client.write("hello");
    await closing(client);
    // The client's, and the first one that was dialled for it.
    assert.equal(came, 2);
    assert.ok(counted.includes("refused unknown yet"), counted.join());
    await eventually(
      () => takers.every(({ relays }) => relays.size === 0),
      () => "nothing is passed on",
    );
    // What has ended is forgotten: the table is empty again.
    await eventually(
      () => new Int32Array(ends).every((word) => word === 0),
      () => "no end is left",
    );
  });

test("what was not redirected, or may not go on, is reset", async (t) => {
  for (const [to, passage] of [
    [undefined, look],
    [{ kind: "tcp", host: "127.0.0.1", port: 1 }, (): Passage => ({ kind: "refuse", why: "it is loopback" })],
  ] as const) {
    const { client, counted } = await captured(t, to, passage);
    client.resume();
    if (!client.closed) await closing(client);
    assert.deepEqual(counted, ["refused unknown yet"]);
  }
  // Only HTTP/2 may go on: there is nowhere else for it.
  const to: Tcp = { kind: "tcp", host: "127.0.0.1", port: 1 };
  const { client, counted } = await captured(t, to, () => ({ kind: "look", onward: undefined }));
  client.write("GET / HTTP/1.1\r\n\r\n");
  await closing(client);
  assert.deepEqual(counted, ["refused http1"]);
});

for (const known of ["known", "nobody can tell"] as const)
  test(`a client that listens for a server that it may not reach is reset after its last word (${known})`, async (t) => {
    const to: Tcp = { kind: "tcp", host: "127.0.0.1", port: 1 };
    const { client, counted, clock } = await captured(t, to, () => ({ kind: "look", onward: undefined }), false, known);
    client.resume();
    await eventually(
      () => clock.pending > 0,
      () => "it comes to pass",
      20_000,
    );
    clock.advance(999);
    assert.deepEqual(counted, []);
    clock.advance(1);
    if (!client.closed) await closing(client);
    assert.deepEqual(counted, ["refused unknown yet"]);
    assert.equal(clock.pending, 0);
  });

test("a port that is declared is not looked at", async (t) => {
  const server = await listen(t, (socket) => socket.pipe(socket));
  const relayed = await captured(t, server, (onward) => ({ kind: "relay", onward }));
  relayed.client.end("PRI * HTTP/2.0\r\n\r\n");
  assert.equal(await textOf(relayed.client), "PRI * HTTP/2.0\r\n\r\n");
  const meshed = await captured(t, server, () => ({ kind: "mesh" }));
  await eventually(
    () => meshed.mesh.length === 1,
    () => "it comes to pass",
    20_000,
  );
});

test("a reset of one side is a reset of the other", async (t) => {
  for (const who of ["client", "server"] as const) {
    let server: Socket | undefined;
    const to = await listen(t, (socket) => {
      server = socket;
      socket.resume();
    });
    const { client, relays } = await captured(t, to, (onward) => ({ kind: "relay", onward }));
    client.write("x");
    await eventually(
      () => relays.size === 1 && server !== undefined,
      () => "it comes to pass",
      20_000,
    );
    const [from, other] = who === "client" ? [client, server] : [server, client];
    const closed = closing(other ?? client);
    from?.resetAndDestroy();
    await closed;
    await eventually(
      () => relays.size === 0,
      () => "it comes to pass",
      20_000,
    );
  }
});

test("what is left is ended when the sidecar stops", async (t) => {
  const to = await listen(t, (socket) => socket.resume());
  const { client, relays } = await captured(t, to, (onward) => ({ kind: "relay", onward }));
  client.write("x");
  await eventually(
    () => relays.size === 1,
    () => "it comes to pass",
    20_000,
  );
  assert.equal(relays.closeAll(), 1);
  await closing(client);
});

test("a reader that does not read stops its writer, and nothing is kept in between", async (t) => {
  let blocked = false;
  const to = await listen(t, (socket) => {
    const chunk = Buffer.alloc(64 * 1024);
    const write = (): void => {
      while (socket.write(chunk));
      blocked = true;
    };
    socket.on("drain", write);
    write();
  });
  const { client, counts } = await captured(t, to, (onward) => ({ kind: "relay", onward }));
  client.pause();
  await eventually(
    () => blocked,
    () => "it comes to pass",
    20_000,
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = counts.received;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(counts.received, before, "nothing moves");
  // The kernel's buffers of two connections, and what the streams of Node take: not what the server would send.
  assert.ok(counts.received < 16 * 2 ** 20, `${counts.received}`);
});

test("HTTP/1.1 is taken as such where somebody speaks it, with what has been read", async (t) => {
  const server = await listen(t, () => {});
  const { client, calls, counted } = await captured(t, server, look, true);
  client.write("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  await eventually(
    () => calls.length === 1,
    () => "it is taken",
  );
  assert.match(calls[0]?.arrived?.toString() ?? "", /^GET \/ /);
  assert.deepEqual(calls[0]?.destination, server);
  assert.deepEqual(counted, ["mesh http1"]);
  calls[0]?.socket.destroy();
});

/** The first octets of TLS for a name. */
async function helloFor(t: TestContext, servername: string): Promise<Buffer> {
  const heard: Buffer[] = [];
  const { port, host } = await listen(t, (socket) => socket.on("data", (chunk: Buffer) => heard.push(chunk)));
  const client = connectTls({ host, port, servername, rejectUnauthorized: false });
  client.on("error", () => {});
  t.after(() => client.destroy());
  await eventually(
    () => heard.length > 0,
    () => "a ClientHello",
  );
  return Buffer.concat(heard);
}

test("TLS goes to the upstream whose name it asks for, however its first octets come", async (t) => {
  const hello = await helloFor(t, "API.payments.example");
  const server = await listen(t, () => {});
  const { client, calls, counted } = await captured(t, server, look);
  client.setNoDelay(true);
  for (let at = 0; at < hello.length; at += 400) {
    client.write(hello.subarray(at, at + 400));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await eventually(
    () => calls.length === 1,
    () => "it is taken",
  );
  assert.equal(calls[0]?.upstream, "payments");
  assert.deepEqual(calls[0]?.arrived, hello);
  assert.deepEqual(counted, ["mesh tls"]);
  calls[0]?.socket.destroy();
});

test("TLS for a name that no upstream has, and a ClientHello that never ends, go where they were going", async (t) => {
  const hello = await helloFor(t, "elsewhere.example");
  for (const octets of [hello, hello.subarray(0, 100)]) {
    const heard: Buffer[] = [];
    const server = await listen(t, (socket) => socket.on("data", (chunk: Buffer) => heard.push(chunk)));
    const { client, counted, clock } = await captured(t, server, look);
    client.write(octets);
    await eventually(
      () => {
        clock.advance(1_000);
        return counted.length > 0;
      },
      () => "it is passed on",
    );
    assert.deepEqual(counted, ["relayed tls"]);
    await eventually(
      () => Buffer.concat(heard).length === octets.length,
      () => "what was read is passed on, too",
    );
  }
});

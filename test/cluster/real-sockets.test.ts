import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { Cluster } from "../../src/cluster/cluster.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import { plainConnect } from "../../src/cluster/pool/connect.ts";
import { defaultKeepalive } from "../../src/cluster/pool/keepalive.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Watch } from "../../src/core/watch.ts";
import type { Discovered } from "../../src/discovery/source.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import type { Connection } from "../../src/http2/connection.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { defaultLimits } from "../../src/http2/limits.ts";
import { inTurn } from "./cluster-harness.ts";
import { after, report, spec } from "./endpoints.ts";
import { NOTHING, requestHead } from "./fake-server.ts";

/** A server of Node's own HTTP/2, which answers with its port. */
class Peer {
  port = 0;
  calls = 0;
  readonly sessions = new Set<ServerHttp2Session>();
  private readonly maxStreams: number;
  private readonly delay: number;
  private server: Http2Server | undefined = undefined;
  private readonly sockets = new Set<Socket>();

  constructor(maxStreams: number, delay: number) {
    this.maxStreams = maxStreams;
    this.delay = delay;
  }

  async start(): Promise<void> {
    const server = createServer({ settings: { maxConcurrentStreams: this.maxStreams } }, (_request, response) => {
      this.calls++;
      setTimeout(() => response.end(String(this.port)), this.delay);
    });
    server.on("session", (session) => {
      this.sessions.add(session);
      session.on("close", () => this.sessions.delete(session)).on("error", () => {});
    });
    server.on("connection", (socket: Socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
    this.server = server;
    await once(server.listen(this.port, "127.0.0.1"), "listening");
    this.port = (server.address() as AddressInfo).port;
  }

  /** As a process that is killed: nobody says goodbye, and nobody listens. */
  async kill(): Promise<void> {
    const gone = once(this.server ?? assert.fail(), "close");
    this.server?.close();
    for (const socket of this.sockets) socket.resetAndDestroy();
    await gone;
  }

  /** As a server whose connections have reached their age: GOAWAY, and then the end of each. */
  retire(): void {
    for (const session of this.sessions) session.close();
  }
}

interface World {
  readonly peers: Peer[];
  readonly cluster: Cluster;
  /** A call, made again at another endpoint while it provably was not processed. */
  call(): Promise<string>;
}

async function inWorld(peers: Peer[], use: (world: World) => Promise<void>): Promise<void> {
  for (const peer of peers) await peer.start();
  const services = { clock: systemClock, loop: new FlushLoop(systemClock), headers: new HeaderTable() };
  const endpoints = peers.map(({ port }) => spec(port));
  const state = new Watch<Discovered>({
    kind: "known",
    endpoints,
    updatedAt: 0,
    staleSince: undefined,
    error: undefined,
  });
  const cluster = new Cluster(
    { name: "peers", source: "static", policy: inTurn },
    { state, uses: 0, close() {} },
    {
      clock: systemClock,
      loop: services.loop,
      headers: services.headers,
      log: pino({ enabled: false }),
      random: Math.random,
      connect: plainConnect(services, () => ({ limits: defaultLimits, announce: false })),
      keepalive: defaultKeepalive,
    },
  );
  const attempt = (endpoint: Endpoint) =>
    new Promise<string>((resolve) => {
      const open = (connection: Connection) => {
        let body = "";
        const stream = connection.openStream(requestHead(services.headers), true, {
          ...NOTHING,
          onData(buffer, start, end, fin) {
            body += buffer.toString("latin1", start, end);
            stream.release(end - start);
            if (fin) resolve(body);
          },
          onAbort: (abort) => resolve(abort.kind === "reset" ? `reset ${abort.code}` : abort.kind),
        });
      };
      const connection = endpoint.pool.ready();
      if (connection !== undefined) open(connection);
      else endpoint.pool.wait({ onConnection: open, onFailed: resolve });
    });
  const call = async (): Promise<string> => {
    const tried: Endpoint[] = [];
    for (;;) {
      const endpoint = cluster.pick(after(...tried));
      if (endpoint === undefined || tried.includes(endpoint)) return cluster.noneReason().reason;
      endpoint.started();
      const result = await attempt(endpoint);
      endpoint.done(report(/^\d+$/.test(result) ? "ok" : "failure"));
      // Refusals to connect, streams above the last one of a GOAWAY, and what was never handed to the system, were not processed.
      const refused = result.startsWith("CONNECT_");
      if (!refused && result !== "unprocessed" && result !== "unsent") return result;
      if (refused) tried.push(endpoint);
    }
  };
  try {
    await use({ peers, cluster, call });
  } finally {
    cluster.terminate("the test is over");
    for (const peer of peers) await peer.kill();
  }
  assert.deepEqual(cluster.stats(), []);
}

/** Runs calls, so many at once, and counts their results. */
async function load(world: World, calls: number, atOnce: number): Promise<Record<string, number>> {
  const results: Record<string, number> = {};
  let left = calls;
  const caller = async () => {
    while (left-- > 0) {
      const result = await world.call();
      results[result] = (results[result] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, caller));
  return results;
}

for (const maxStreams of [1, 10, 100]) {
  test(`three of Node's servers that allow ${maxStreams} streams share the calls, and refuse none`, async () => {
    await inWorld([new Peer(maxStreams, 1), new Peer(maxStreams, 1), new Peer(maxStreams, 1)], async (world) => {
      const results = await load(world, 1500, 60);
      assert.deepEqual(results, Object.fromEntries(world.peers.map(({ port }) => [port, 500])));
      for (const { connections } of world.cluster.stats()) assert.ok(connections.length <= 75 / maxStreams + 4);
    });
  });
}

test("a server that is killed costs the calls on it and no other, and is used again when it is back", async () => {
  await inWorld([new Peer(100, 0), new Peer(100, 0), new Peer(100, 0)], async (world) => {
    const [victim] = world.peers;
    assert.ok(victim !== undefined);
    const before = load(world, 3000, 30);
    while (victim.calls < 300) await sleep(1);
    await victim.kill();
    const { lost = 0, ...answered } = await before;
    assert.ok(lost <= 30, `${lost} calls lost`);
    assert.deepEqual(Object.keys(answered).sort(), world.peers.map(({ port }) => String(port)).sort());
    assert.equal(world.cluster.stats()[0]?.state, "unreachable");
    const without = await load(world, 200, 10);
    assert.equal(without[victim.port], undefined);
    await victim.start();
    while (world.cluster.stats()[0]?.state !== "up") await sleep(5);
    const again = await load(world, 300, 10);
    assert.deepEqual(again, Object.fromEntries(world.peers.map(({ port }) => [port, 100])));
  });
});

test("servers whose connections age all the time lose no call", async () => {
  await inWorld([new Peer(100, 1), new Peer(100, 1)], async (world) => {
    let running = true;
    let retired = 0;
    const ageing = (async () => {
      for (; running; retired++) {
        await sleep(5 + (retired % 7));
        for (const peer of world.peers) peer.retire();
      }
    })();
    const results = await load(world, 4000, 20);
    running = false;
    await ageing;
    assert.ok(retired > 10, `${retired} times`);
    const ports = world.peers.map(({ port }) => String(port));
    assert.deepEqual(Object.keys(results).sort(), ports.sort());
  });
});

test("where nothing listens every call hears so at once", async () => {
  const peer = new Peer(100, 0);
  await inWorld([peer], async (world) => {
    await peer.kill();
    const results = await load(world, 50, 10);
    assert.deepEqual(results, { CONNECT_REFUSED: 50 });
    await peer.start();
    while (world.cluster.stats()[0]?.state !== "up") await sleep(5);
    assert.deepEqual(await load(world, 50, 10), { [peer.port]: 50 });
  });
});

test("nothing of all this is left open", async () => {
  const open = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP"));
  // The kernel's side of what was closed last takes a moment.
  for (let waited = 0; open().length > 0 && waited < 2000; waited += 20) await sleep(20);
  assert.deepEqual(open(), []);
});

// What a connection and a stream cost in memory, and what is left of very many of them: 9,000 idle connections, 10,000
// streams open at once, 100,000 streams opened and cancelled. One sidecar in a process of its own; callers and application
// are here. A full run writes its figures into docs/resources.md.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createServer,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { withDescriptors } from "../support/descriptors.ts";
import { idleConnection, pinged } from "../support/idle-connection.ts";
import { Inspected, type Memory } from "../support/inspected.ts";
import { environment, type LongRun, runLong } from "../support/results.ts";
import { type SidecarProcess, startSidecarProcess } from "../support/sidecar-process.ts";
import { eventually } from "../support/with-proxy.ts";

/** As many as a sidecar takes with 20,000 open files, which are common: see "All connections together" in docs/limits.md. */
const CONNECTIONS = 9_000;
const OPEN_STREAMS = 10_000;
const CANCELLED = 100_000;
/** The most that each may cost, in octets; half as much again as was measured when it was written. */
const MOST = { connection: 12_000, stream: 2500 };
/** What may be left of each when it is gone: compiled code, grown tables. */
const LEFT = 8 * 2 ** 20;
const PAGE = join(import.meta.dirname, "..", "..", "docs", "resources.md");
const CALL = { ":method": "POST", ":path": "/test.v1.Test/Hold", "content-type": "application/grpc", te: "trailers" };

withDescriptors(CONNECTIONS + 2000);
await runLong("resources", async ({ short, say }) => {
  const application = createServer();
  let held = 0;
  application.on("stream", (stream: ServerHttp2Stream) => {
    held++;
    stream.on("error", () => {});
    stream.on("close", () => held--);
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
  });
  application.listen(0, "127.0.0.1");
  await once(application, "listening");
  const { port } = application.address() as AddressInfo;
  const sidecar = await startSidecarProcess(
    {
      identity: { name: "resources" },
      upstreams: { app: { discovery: "static", endpoints: [`127.0.0.1:${port}`], listen: "127.0.0.1:0" } },
    },
    ["--inspect=127.0.0.1:0"],
  );
  const inspected = await Inspected.of(sidecar.process);
  const bench: Bench = { sidecar, inspected, say, held: () => held };
  try {
    // What grows once, with the first calls, is not what a connection or a stream costs.
    await cancelled(bench, 2000);
    const connection = await idleConnections(bench);
    const stream = await openStreams(bench);
    const begun = performance.now();
    const left = await cancelled(bench, CANCELLED);
    const perSecond = Math.round((CANCELLED / (performance.now() - begun)) * 1000);
    assert.ok(left.heap <= LEFT, `${left.heap} octets are left of ${CANCELLED} cancelled streams`);
    assert.ok(connection.heap <= MOST.connection, `a connection costs ${connection.heap} octets`);
    assert.ok(stream.heap <= MOST.stream, `a stream costs ${stream.heap} octets`);
    const figures = { connection, stream, cancelled: { count: CANCELLED, left, perSecond } };
    if (!short) await publish(figures);
    return figures;
  } finally {
    inspected.close();
    await sidecar.process.stop();
    application.close();
  }
});

interface Bench {
  readonly sidecar: SidecarProcess;
  readonly inspected: Inspected;
  readonly say: LongRun["say"];
  /** Streams that the application has open. */
  readonly held: () => number;
}

function per(before: Memory, after: Memory, count: number): Memory {
  const one = (key: keyof Memory): number => Math.round((after[key] - before[key]) / count);
  return { heap: one("heap"), resident: one("resident") };
}

/** Connections that have exchanged SETTINGS and say nothing more; at the end each has to answer a PING. */
async function idleConnections({ sidecar, inspected, say }: Bench): Promise<Memory> {
  const before = await inspected.memory();
  const port = Number(sidecar.address("outbound").split(":")[1]);
  const sockets: Socket[] = [];
  // A hundred at a time, so that no connection is lost to a full backlog.
  while (sockets.length < CONNECTIONS)
    sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => idleConnection(port)))));
  const cost = per(before, await inspected.memory(), CONNECTIONS);
  say(`${CONNECTIONS} idle connections: ${cost.heap} octets of heap each, ${cost.resident} resident`);
  for (let at = 0; at < sockets.length; at += 500) await Promise.all(sockets.slice(at, at + 500).map(pinged));
  for (const socket of sockets) socket.destroy();
  await eventually(
    () => atRest(sidecar),
    () => "every connection is gone",
    20_000,
  );
  const left = (await inspected.memory()).heap - before.heap;
  assert.ok(left <= LEFT, `${left} octets are left of ${CONNECTIONS} connections`);
  return cost;
}

async function session(address: string): Promise<ClientHttp2Session> {
  const opened = connect(`http://${address}`);
  await once(opened, "remoteSettings");
  return opened;
}

/** Opens that many calls and waits for the head of each one's answer. */
async function opened(caller: ClientHttp2Session, count: number): Promise<ClientHttp2Stream[]> {
  const streams = Array.from({ length: count }, () => caller.request(CALL, { endStream: true }));
  await Promise.all(streams.map((stream) => once(stream, "response")));
  return streams;
}

async function closeAll(streams: readonly ClientHttp2Stream[]): Promise<void> {
  await Promise.all(
    streams.map((stream) => {
      const closed = once(stream, "close");
      stream.on("error", () => {});
      stream.close(constants.NGHTTP2_CANCEL);
      return closed;
    }),
  );
}

/** Calls that are open at the same time, a thousand a connection: what one costs, with its stream on either side. */
async function openStreams({ sidecar, inspected, say, held }: Bench): Promise<Memory> {
  const before = await inspected.memory();
  const callers = await Promise.all(
    Array.from({ length: OPEN_STREAMS / 1000 }, () => session(sidecar.address("upstreams.app"))),
  );
  const streams: ClientHttp2Stream[] = [];
  // Some at a time: a thousand calls may wait for a connection, not ten thousand.
  for (const caller of callers) for (let at = 0; at < 1000; at += 250) streams.push(...(await opened(caller, 250)));
  assert.equal(held(), OPEN_STREAMS);
  const cost = per(before, await inspected.memory(), OPEN_STREAMS);
  say(`${OPEN_STREAMS} open calls: ${cost.heap} octets of heap each, ${cost.resident} resident`);
  await closeAll(streams);
  for (const caller of callers) caller.destroy();
  await eventually(
    () => held() === 0,
    () => `${held()} calls that the application still holds`,
    30_000,
  );
  return cost;
}

/** Opens and cancels that many calls, five hundred at a time; resolves to what is left of them in memory. */
async function cancelled({ sidecar, inspected, say, held }: Bench, count: number): Promise<Memory> {
  const before = await inspected.memory();
  const callers = await Promise.all(Array.from({ length: 25 }, () => session(sidecar.address("upstreams.app"))));
  for (let wave = 0; wave * 500 < count; wave++) {
    const caller = callers[wave % callers.length];
    assert.ok(caller !== undefined && !caller.closed, "a caller that gives up often was taken for an attacker");
    await closeAll(await opened(caller, 500));
  }
  await eventually(
    () => held() === 0,
    () => `${held()} calls that the application still holds`,
    60_000,
  );
  for (const caller of callers) caller.destroy();
  await eventually(
    () => atRest(sidecar),
    () => "nothing is in flight",
    20_000,
  );
  const left = per(before, await inspected.memory(), 1);
  say(`${count} calls opened and cancelled: ${left.heap} octets of heap are left`);
  return left;
}

/** Whether no caller is connected and no call is in flight. */
async function atRest(sidecar: SidecarProcess): Promise<boolean> {
  const text = String(await sidecar.admin("/metrics"));
  const gauges = /^outrigger_(calls_in_flight\{|connections\{direction="outbound",upstream=""\}).* [^0]/m;
  return !gauges.test(text);
}

/** Writes the figures into the page. */
async function publish(figures: {
  readonly connection: Memory;
  readonly stream: Memory;
  readonly cancelled: { readonly count: number; readonly left: Memory; readonly perSecond: number };
}): Promise<void> {
  const { cpu, cores, node } = environment();
  // Fewer than before is nothing left.
  const kib = (octets: number): string => (Math.max(0, octets) / 1024).toFixed(1);
  const { connection, stream, cancelled: gone } = figures;
  const rows = [
    "| what | heap, KiB | resident, KiB |",
    "| --- | --: | --: |",
    `| an idle connection of a caller (of ${CONNECTIONS}) | ${kib(connection.heap)} | ${kib(connection.resident)} |`,
    `| an open call, with its stream on either side (of ${OPEN_STREAMS}) | ${kib(stream.heap)} | ${kib(stream.resident)} |`,
    `| what is left of ${gone.count} calls opened and cancelled, ${gone.perSecond} a second | ${kib(gone.left.heap)} | ${kib(gone.left.resident)} |`,
    "",
    `Measured on ${new Date().toISOString().slice(0, 10)} with Node ${node.slice(1)} on ${cores} cores of ${cpu}.`,
  ];
  const page = await readFile(PAGE, "utf8");
  const [head, tail] = [page.split("<!-- figures -->")[0], page.split("<!-- /figures -->")[1]];
  await writeFile(PAGE, `${head}<!-- figures -->\n${rows.join("\n")}\n<!-- /figures -->${tail}`);
}

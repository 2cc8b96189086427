// A service that can do 16 calls at once of 10 ms each, 1,600 a second, is offered 4,800: how many are answered within their
// deadline of 200 ms, without a limit, with a learned one in its own sidecar or in its caller's, and with a rate limit. The bar:
// more than 90 % of what it can do, with a learned or a rate limit. With --short each for 5 s instead of 30.
import assert from "node:assert/strict";
import { join } from "node:path";
import { EngineClient } from "../support/engine-peer.ts";
import { type OpenLoop, offerOpenLoop } from "../support/open-loop.ts";
import { startProcess } from "../support/process.ts";
import { callHead } from "../support/raw-call.ts";
import { runLong } from "../support/results.ts";
import { type SidecarProcess, startSidecarProcess } from "../support/sidecar-process.ts";

const SLOTS = 16;
const TIME = 10;
/** Calls a second. */
const CAPACITY = (SLOTS * 1000) / TIME;
const OFFERED = 3 * CAPACITY;
const DEADLINE = 200;
const BAR = 0.9;
const CLIENTS = 4;

interface Way {
  readonly name: string;
  /** Whose sidecar the calls come to first. */
  readonly enter: "inbound" | "outbound";
  readonly service?: object;
  readonly upstream?: object;
  readonly rateLimits?: readonly object[];
  /** Holds the service to the bar. */
  readonly protects: boolean;
}

const ways: readonly Way[] = [
  { name: "no limit", enter: "inbound", protects: false },
  { name: "learned, in its sidecar", enter: "inbound", service: { adaptiveConcurrency: {} }, protects: true },
  { name: "learned, in its caller's", enter: "outbound", upstream: { adaptiveConcurrency: {} }, protects: true },
  {
    name: "rate limit of 1550/s",
    enter: "inbound",
    rateLimits: [{ name: "all", limit: "1550/s", burst: 32 }],
    protects: true,
  },
];

interface Row {
  readonly way: string;
  readonly offeredPerSecond: number;
  readonly answeredPerSecond: number;
  readonly ofCapacity: string;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly others: Readonly<Record<string, number>>;
  readonly learned: string;
  readonly bar: "met" | "missed" | "-";
}

async function run(way: Way, seconds: number): Promise<Row> {
  const app = await startProcess(process.execPath, [
    join(import.meta.dirname, "..", "support", "slots-app.ts"),
    `${SLOTS}`,
    `${TIME}`,
  ]);
  const sidecars: SidecarProcess[] = [];
  const clients: EngineClient[] = [];
  try {
    const [, address = ""] = await app.line(/^slots-app (\S+)$/);
    sidecars.push(
      await startSidecarProcess({
        log: { access: "none" },
        ...(way.enter === "inbound"
          ? { service: { name: "up", address, health: "none", ...way.service } }
          : { upstreams: { up: { discovery: "static", endpoints: [address], ...way.upstream } } }),
        ...(way.rateLimits === undefined ? {} : { rateLimits: way.rateLimits }),
      }),
    );
    const [sidecar] = sidecars;
    assert.ok(sidecar !== undefined);
    for (let at = 0; at < CLIENTS; at++) clients.push(await EngineClient.connect(sidecar.address(way.enter)));
    const head = callHead("up", ["grpc-timeout", `${DEADLINE}m`]);
    const offer = { clients, head, rate: OFFERED, deadline: DEADLINE };
    await offerOpenLoop({ ...offer, duration: 2000 });
    const loop = await offerOpenLoop({ ...offer, duration: seconds * 1000 });
    return rowOf(way, loop, await learned(sidecar));
  } finally {
    for (const client of clients) client.close();
    await Promise.all([app.kill(), ...sidecars.map((sidecar) => sidecar.process.kill())]);
  }
}

function rowOf({ name, protects }: Way, loop: OpenLoop, why: string): Row {
  const perSecond = (count: number): number => Math.round((count * 1000) / loop.elapsed);
  const sorted = loop.latencies.toSorted((a, b) => a - b);
  const quantile = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
  const share = perSecond(loop.answered) / CAPACITY;
  return {
    way: name,
    offeredPerSecond: perSecond(loop.offered),
    answeredPerSecond: perSecond(loop.answered),
    ofCapacity: `${(share * 100).toFixed(1)}%`,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    others: Object.fromEntries(loop.others),
    learned: why,
    bar: !protects ? "-" : share > BAR ? "met" : "missed",
  };
}

/** What the sidecar says of its learned limit. */
async function learned(sidecar: SidecarProcess): Promise<string> {
  const { concurrency } = (await sidecar.admin("/clusters")) as { concurrency: readonly { why: string }[] };
  return concurrency[0]?.why ?? "";
}

await runLong("overload", async ({ short, say }) => {
  const rows: Row[] = [];
  for (const way of ways) {
    const row = await run(way, short ? 5 : 30);
    say(
      `${row.way}: ${row.answeredPerSecond} a second answered in time, ${row.ofCapacity} of ${CAPACITY}, bar ${row.bar}`,
    );
    rows.push(row);
  }
  console.table(rows.map(({ others, ...row }) => ({ ...row, others: JSON.stringify(others) })));
  const [without, ...protectedRows] = rows;
  // Figures of a busy machine say little of the bar, which is told, and published of a full run; this much is always so.
  for (const row of protectedRows)
    assert.ok(row.answeredPerSecond > 2 * (without?.answeredPerSecond ?? 0), `${row.way} protects nothing`);
  if (!short)
    assert.ok(
      protectedRows.every(({ bar }) => bar === "met"),
      "the bar was missed",
    );
  return { capacity: CAPACITY, offered: OFFERED, deadlineMs: DEADLINE, rows };
});

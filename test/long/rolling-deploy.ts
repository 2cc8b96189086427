// A rolling deploy of three replicas, an application and a sidecar in a process each, registered in a real Consul, under 500
// calls a second of a method that must not be executed twice: one after the other gets its signals, goes, and has a successor.
// No call fails and none is executed twice, whoever gets the signal first, and also where the Consul agent is killed in the
// middle and comes back without its memory. Each way five times; with --short three of them once.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CountingCaller } from "../support/caller.ts";
import { type Consul, startConsul } from "../support/consul.ts";
import { CountingMesh, type CountingReplica } from "../support/counting-mesh.ts";
import { runLong } from "../support/results.ts";

/** Calls a second. */
const RATE = 500;
/** Milliseconds that a call takes in the application. */
const DELAY = 2;
const REPLICAS = 3;
/** Milliseconds between the two signals, where they do not come at once. */
const APART = 1000;

/** Who is told to go first, and when the other is. */
type Order = "at once" | "sidecar first" | "application first" | "application gone first";

interface Way {
  readonly order: Order;
  /** The agent is killed while the second replica is replaced. */
  readonly agentKilled: boolean;
}

const WAYS: readonly Way[] = [
  { order: "at once", agentKilled: false },
  { order: "sidecar first", agentKilled: false },
  { order: "application first", agentKilled: false },
  { order: "application gone first", agentKilled: false },
  { order: "sidecar first", agentKilled: true },
  { order: "application first", agentKilled: true },
];

const SHORT: readonly Way[] = [
  { order: "sidecar first", agentKilled: false },
  { order: "application first", agentKilled: false },
  { order: "application first", agentKilled: true },
];

interface Row {
  readonly way: string;
  readonly calls: number;
  readonly failed: number;
  readonly executedTwice: number;
  readonly notExecuted: number;
  /** Calls that were made again, as the caller's sidecar has logged it. */
  readonly madeAgain: number;
  readonly slowestMs: number;
}

await runLong("rolling-deploy", async ({ short, say }) => {
  const rounds = short ? 1 : 5;
  const rows: Row[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const way of short ? SHORT : WAYS) {
      const row = await deploy(way);
      rows.push(row);
      say(`${row.way}: ${row.calls} calls, ${row.failed} failed, ${row.madeAgain} made again`);
    }
  }
  console.table(rows);
  const sum = (of: (row: Row) => number): number => rows.reduce((total, row) => total + of(row), 0);
  return {
    rate: RATE,
    deploys: rows.length,
    calls: sum(({ calls }) => calls),
    failed: sum(({ failed }) => failed),
    executedTwice: sum(({ executedTwice }) => executedTwice),
    rows,
  };
});

/** One deploy of all replicas. */
async function deploy({ order, agentKilled }: Way): Promise<Row> {
  const consul = await startConsul();
  const discovery = { consul: { address: consul.address } };
  const mesh = await CountingMesh.start({ discovery, drain: { notice: "1s", grace: "10s" } });
  const caller = new CountingCaller("call", mesh.caller.address("outbound"), "counter");
  let stop = (): void => {};
  try {
    for (let at = 0; at < REPLICAS; at++) await mesh.add(`old-${at}`, { delay: DELAY });
    await mesh.reaches(REPLICAS);
    stop = caller.pace(RATE);
    await sleep(500);
    for (const [at, old] of mesh.replicas.slice(0, REPLICAS).entries()) {
      const isOutage = agentKilled && at === 1;
      await replace(mesh, old, `new-${at}`, order, isOutage ? consul : undefined);
    }
    await sleep(500);
    stop();
    await caller.settled();
    return await account(mesh, caller, `${order}${agentKilled ? ", agent killed" : ""}`);
  } finally {
    stop();
    caller.close();
    await mesh.stop();
    await consul.kill();
  }
}

/** Takes a replica out and puts another one in its place. `killed`: the agent that dies meanwhile, and comes back. */
async function replace(
  mesh: CountingMesh,
  old: CountingReplica,
  name: string,
  order: Order,
  killed: Consul | undefined,
): Promise<void> {
  const going = leave(old, order);
  if (killed === undefined) {
    await going;
    await mesh.add(name, { delay: DELAY });
  } else {
    await sleep(APART / 2);
    await killed.kill();
    await going;
    // It has nobody to register with yet, and waits; the agent comes back knowing nobody.
    const next = mesh.add(name, { delay: DELAY });
    await sleep(2 * APART);
    await killed.restart();
    await next;
  }
  await mesh.reaches(REPLICAS, 60_000);
}

/** Has a replica go; resolves when both its processes have ended, in good order. */
async function leave({ app, sidecar, name }: CountingReplica, order: Order): Promise<void> {
  const [first, second] = order.startsWith("application") ? [app, sidecar] : [sidecar, app];
  first.process.signal("SIGTERM");
  if (order === "application gone first") await first.process.exited;
  else if (order !== "at once") await sleep(APART);
  second.process.signal("SIGTERM");
  const exits = await Promise.all([app.process.exited, sidecar.process.exited]);
  for (const exit of exits) assert.deepEqual(exit, { code: 0, signal: null }, `${name}:\n${sidecar.process.stderr()}`);
}

/** What became of every call, by what the applications have written down; fails where that is not what it should be. */
async function account(mesh: CountingMesh, caller: CountingCaller, way: string): Promise<Row> {
  const executions = await mesh.tally.executions();
  const row = {
    way,
    calls: caller.calls,
    failed: caller.failed.length,
    executedTwice: [...executions.values()].filter((count) => count > 1).length,
    notExecuted: caller.answered.filter((id) => !executions.has(id)).length,
    madeAgain: mesh.caller.process.stderr().split('"a call is made again"').length - 1,
    slowestMs: Math.round(caller.slowest),
  };
  assert.deepEqual(caller.failed, [], `${way}: calls that failed`);
  const { executedTwice, notExecuted } = row;
  assert.deepEqual({ executedTwice, notExecuted }, { executedTwice: 0, notExecuted: 0 }, way);
  return row;
}

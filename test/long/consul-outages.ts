// Calls go on through every trouble that Consul can have: three servers and an agent of it, real ones, of which some are killed,
// stand still or forget, one trouble after the other, each for two minutes, under 200 calls a second of a method that must not be
// executed twice. No call fails; how old the answer is can be seen meanwhile; a sidecar that starts then makes its calls by the
// cache; and once Consul is well again everybody is registered and nothing is stale. With --short two troubles of 14 s.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { CountingCaller } from "../support/caller.ts";
import { ConsulCluster } from "../support/consul-cluster.ts";
import { CountingMesh } from "../support/counting-mesh.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { runLong } from "../support/results.ts";
import type { SidecarProcess } from "../support/sidecar-process.ts";
import { eventually } from "../support/with-proxy.ts";

const RATE = 200;
const REPLICAS = 3;
/** Milliseconds within which everybody is registered again, and what is stale is fresh. */
const RECOVERY = 90_000;

interface Trouble {
  readonly name: string;
  readonly begin: (consul: ConsulCluster) => Promise<void>;
  readonly end: (consul: ConsulCluster) => Promise<void>;
}

const TROUBLES: readonly Trouble[] = [
  {
    name: "two of three servers killed: no leader",
    begin: (consul) => consul.killServers(2),
    end: (consul) => consul.startServers(),
  },
  {
    name: "the agent killed, back without its memory",
    begin: (consul) => consul.killAgent(),
    end: (consul) => consul.startAgent("lost"),
  },
  {
    name: "every server killed",
    begin: (consul) => consul.killServers(3),
    end: (consul) => consul.startServers(),
  },
  {
    name: "the agent stands still",
    begin: async (consul) => consul.pauseAgent(),
    end: async (consul) => consul.resumeAgent(),
  },
  {
    name: "the agent killed, back with its memory",
    begin: (consul) => consul.killAgent(),
    end: (consul) => consul.startAgent(),
  },
];

interface Row {
  readonly trouble: string;
  readonly calls: number;
  readonly failed: number;
  /** Seconds from the trouble's beginning until the answer was shown to be stale. */
  readonly shownAfter: number;
  /** Seconds that the answer was old at the end of the trouble, as the metric has it. */
  readonly age: number;
  /** Seconds from the trouble's end until all was as before. */
  readonly recovery: number;
}

await runLong("consul-outages", async ({ short, say }) => {
  const length = short ? 14_000 : 120_000;
  const consul = await ConsulCluster.start();
  const discovery = { consul: { address: consul.address } };
  const mesh = await CountingMesh.start({ discovery, cached: true });
  const callers = [new CountingCaller("call", mesh.caller.address("outbound"), "counter")];
  const [caller] = callers;
  assert.ok(caller);
  let stop = (): void => {};
  const rows: Row[] = [];
  try {
    for (let at = 0; at < REPLICAS; at++) await mesh.add(`replica-${at}`, { delay: 1 });
    await mesh.reaches(REPLICAS);
    stop = caller.pace(RATE);
    for (const trouble of short ? TROUBLES.slice(0, 2) : TROUBLES) {
      const before = caller.calls;
      const began = performance.now();
      await trouble.begin(consul);
      await isStale(mesh.caller, true, length);
      const shownAfter = seconds(began);
      callers.push(await coldStart(mesh, trouble.name));
      await sleep(length - (performance.now() - began));
      const age = Math.round(await ageOf(mesh.caller));
      const ended = performance.now();
      await trouble.end(consul);
      await consul.hasLeader();
      await isStale(mesh.caller, false, RECOVERY);
      await mesh.reaches(REPLICAS, RECOVERY);
      const calls = caller.calls - before;
      rows.push({
        trouble: trouble.name,
        calls,
        failed: caller.failed.length,
        shownAfter,
        age,
        recovery: seconds(ended),
      });
      say(`${trouble.name}: ${calls} calls, ${caller.failed.length} failed`);
      assert.deepEqual(caller.failed, [], trouble.name);
    }
    stop();
    await caller.settled();
    console.table(rows);
    assert.deepEqual(caller.failed, []);
    const executions = await mesh.tally.executions();
    const made = callers.reduce((sum, { calls }) => sum + calls, 0);
    assert.deepEqual(
      [executions.size, [...executions.values()].filter((count) => count > 1).length],
      [made, 0],
      "each call once",
    );
    return { rate: RATE, secondsEach: length / 1000, calls: made, failed: 0, executedTwice: 0, rows };
  } finally {
    stop();
    for (const one of callers) one.close();
    await mesh.stop();
    await consul.stop();
  }
});

/** A caller's sidecar that starts while Consul is in trouble: its calls go by what another one has written down. */
async function coldStart(mesh: CountingMesh, trouble: string): Promise<CountingCaller> {
  const sidecar = await mesh.anotherCaller();
  const caller = new CountingCaller(`cold start, ${trouble}`, sidecar.address("outbound"), "counter");
  await caller.make(100, 5);
  assert.deepEqual(caller.failed, [], `a cold start, ${trouble}`);
  await sidecar.process.stop();
  return caller;
}

/** Waits until people can see that the answer is stale, or that it is not. */
async function isStale(sidecar: SidecarProcess, stale: boolean, patience: number): Promise<void> {
  let seen: unknown;
  await eventually(
    async () => {
      seen = await sidecar.admin("/clusters");
      const [counter] = Object(seen).clusters.filter(({ name }: { name: string }) => name === "counter");
      return (counter?.staleSince !== null && counter?.staleSince !== undefined) === stale;
    },
    () => `${stale ? "stale" : "fresh"}: ${JSON.stringify(seen)}`,
    patience,
  );
}

async function ageOf(sidecar: SidecarProcess): Promise<number> {
  const families = parseMetrics(String(await sidecar.admin("/metrics")));
  return sampleValue(families, "outrigger_discovery_age_seconds", { upstream: "counter" }) ?? Number.NaN;
}

function seconds(since: number): number {
  return Math.round((performance.now() - since) / 100) / 10;
}

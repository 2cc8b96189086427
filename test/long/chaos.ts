// Callers keep getting answers while what they call is in trouble: three replicas of the user service with their sidecars, a real
// Consul, a real Redis from which the rate limits of their callers are leased, and a caller's sidecar, all of them processes. 200
// calls a second of each kind, GetUser, which is idempotent, and CreateUser, which is not, each with a deadline of 5 s. A row for
// each fault (test/support/faults.ts says what is broken, and where), which comes and goes while the row lasts, each time at
// another replica; the last row has all of them in random order, by the seed, of the replicas' faults never two at once.
//
// No call of CreateUser is executed twice, whatever happens. Of the calls of GetUser at least 99.99 % are answered in time, over all
// rows, and every one in the rolling deploy and in the GOAWAY storm. Each row makes 20,000 of them. With --short it is some hundred,
// of which one in a hundred may fail, and rows in which the machine was busy with something else are not judged so.
import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { World } from "../support/chaos-world.ts";
import { consulDown, deploy, type Fault, goaways, redisDown, replicaFaults } from "../support/faults.ts";
import { seededRandom } from "../support/random.ts";
import { runLong } from "../support/results.ts";
import type { Stretch, Tallied } from "../support/user-caller.ts";

/** Calls of each kind a second. */
const RATE = 200;
const REPLICAS = 3;
/** Idempotent calls that a row of a full run makes at least. */
const CALLS = 20_000;
const ANSWERED = 0.9999;
/** What the caller's sidecar is told; everything else is as it is by default. */
const upstream = {
  retry: {
    attempts: 3,
    budget: "50%",
    statuses: ["unavailable"],
    perTryTimeout: "500ms",
    // GetUser's idempotency_level is NO_SIDE_EFFECTS, and it is asked before the first fault.
    descriptors: "reflection",
  },
};
/**
 * A replica alone may have all the calls, and those that are made again, with its share of the limit while Redis is down: the others are
 * broken, or were and are still ejected. A lease is what comes in one go after a stall.
 */
const rateLimits = (store: string) => [
  { name: "callers", limit: "2000/s", key: ["remote.address"], store, lease: 200, localShare: "50%" },
];
/** Milliseconds for which this process may stand still in a row, until nothing is to be learnt of a short one: a try has 500. */
const BUSY = 150;

/** Milliseconds. */
interface Lengths {
  readonly row: number;
  /** How long a fault stays: the first time, the second, and so on, and from the beginning again. */
  readonly on: readonly number[];
  readonly off: number;
}

interface Row {
  readonly fault: string;
  readonly times: number;
  readonly idempotent: Figures;
  readonly once: Figures;
  /** The longest that this process stood still, since others had the machine. */
  readonly stallMs: number;
  readonly executedTwice: number;
  readonly createdNowhere: number;
}

interface Figures {
  readonly calls: number;
  readonly answered: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

await runLong("chaos", async ({ short, seed, say }) => {
  const lengths = short
    ? { row: 2000, on: [1000], off: 300 }
    : // The longest is longer than a health check of Consul lasts, and than a silent connection is left unasked.
      { row: (CALLS / RATE) * 1000 + 2000, on: [3000, 6000, 20_000], off: 2000 };
  const world = await World.start({ replicas: REPLICAS, rateLimits, upstream, seed });
  const { mesh, caller } = world;
  try {
    const over: { readonly row: Omit<Row, Executed>; readonly stretch: Stretch }[] = [];
    const stop = caller.pace(RATE);
    await sleep(500);
    for (const fault of [...replicaFaults, deploy, consulDown, redisDown, "all in random order"] as const) {
      const name = typeof fault === "string" ? fault : fault.name;
      const stalls = monitorEventLoopDelay();
      stalls.enable();
      const stretch = caller.begin(name.replaceAll(" ", "-"));
      const times = await (typeof fault === "string" ? atRandom(world, lengths, seed) : again(fault, world, lengths));
      caller.begin("between");
      await stretch.over();
      stalls.disable();
      const idempotent = figuresOf(stretch.idempotent);
      const row = {
        fault: name,
        times,
        idempotent,
        once: figuresOf(stretch.once),
        stallMs: Math.round(stalls.max / 1e6),
      };
      over.push({ row, stretch });
      say(
        `${name}: ${idempotent.answered} of ${idempotent.calls} answered, ${words(idempotent)}; stall ${row.stallMs} ms`,
      );
    }
    stop();
    const executions = await mesh.executions();
    const rows = over.map(({ row, stretch }) => ({ ...row, ...executed(stretch, executions) }));
    console.table(rows.map(flat));
    judge(rows, short);
    return { rate: RATE, secondsEach: lengths.row / 1000, retry: upstream.retry, answered: share(rows), rows };
  } finally {
    await world.stop();
  }
});

/** One fault, coming and going while the row lasts; how often it came. */
async function again(fault: Fault, world: World, { row, on, off }: Lengths): Promise<number> {
  const end = performance.now() + row;
  let turn = 0;
  while (performance.now() < end) {
    const heal = await fault.begin(world, turn);
    await sleep(on[turn++ % on.length]);
    await heal();
    await sleep(off);
  }
  return turn;
}

/**
 * All faults: those of replicas one after the other, each once before any comes again, and beside them Consul, Redis and the
 * deploy, each by itself.
 */
async function atRandom(world: World, { row, on, off }: Lengths, seed: number): Promise<number> {
  const random = seededRandom(seed);
  const end = performance.now() + row;
  let times = 0;
  const track = async (faults: readonly Fault[], pause: number): Promise<void> => {
    for (let turn = 0; performance.now() < end; ) {
      for (const fault of shuffled(faults, random)) {
        await sleep(pause * (0.5 + random()));
        if (performance.now() >= end) return;
        times++;
        const heal = await fault.begin(world, turn++);
        await sleep((on[0] ?? 0) * (0.5 + random()));
        await heal();
      }
    }
  };
  await Promise.all([
    track(replicaFaults, off / 2),
    track([consulDown], 2 * off),
    track([redisDown], 2 * off),
    track([deploy], 2 * off),
  ]);
  return times;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

type Executed = "executedTwice" | "createdNowhere";

/** What the applications have seen of a stretch's calls. */
function executed({ ids, created }: Stretch, executions: ReadonlyMap<string, number>): Pick<Row, Executed> {
  return {
    executedTwice: ids.filter((id) => (executions.get(id) ?? 0) > 1).length,
    createdNowhere: created.filter((id) => !executions.has(id)).length,
  };
}

function figuresOf({ calls, answered, failed, times }: Tallied): Figures {
  const sorted = times.toSorted((a, b) => a - b);
  const quantile = (share: number): number => Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 10) / 10;
  return { calls, answered, failed: Object.fromEntries(failed), p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

function words({ failed }: Figures): string {
  const counted = Object.entries(failed).map(([why, count]) => `${count} ${why}`);
  return counted.join(", ") || "none failed";
}

function flat({ fault, times, idempotent, once, executedTwice, stallMs }: Row): object {
  return {
    fault,
    times,
    "idempotent: calls": idempotent.calls,
    answered: idempotent.answered,
    failed: words(idempotent),
    "p50 ms": idempotent.p50Ms,
    "p99 ms": idempotent.p99Ms,
    "others: calls": once.calls,
    "answered ": once.answered,
    "failed ": words(once),
    "p50 ms ": once.p50Ms,
    "p99 ms ": once.p99Ms,
    "executed twice": executedTwice,
    "stall ms": stallMs,
  };
}

/** The share of the idempotent calls that were answered. */
function share(rows: readonly Row[]): number {
  const sum = (of: (figures: Figures) => number): number =>
    rows.reduce((total, { idempotent }) => total + of(idempotent), 0);
  return sum(({ answered }) => answered) / sum(({ calls }) => calls);
}

function judge(rows: readonly Row[], short: boolean): void {
  for (const { fault, executedTwice, createdNowhere } of rows)
    assert.deepEqual({ executedTwice, createdNowhere }, { executedTwice: 0, createdNowhere: 0 }, fault);
  const judged = rows.filter(({ stallMs }) => !short || stallMs < BUSY);
  for (const { fault, idempotent } of judged) {
    if (fault === deploy.name || fault === goaways.name) assert.deepEqual(idempotent.failed, {}, fault);
    assert.ok(short || idempotent.calls >= CALLS, `${fault}: ${idempotent.calls} calls are too few`);
  }
  const answered = share(judged);
  // Of some thousand calls a single one would be too many; what does not work costs many.
  const bar = short ? 0.99 : ANSWERED;
  assert.ok(judged.length === 0 || answered >= bar, `${answered * 100} % of the idempotent calls were answered`);
}

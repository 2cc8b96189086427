import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CountingCaller } from "../support/caller.ts";
import type { CountingApp } from "../support/counting.ts";
import type { CountingAppOptions } from "../support/counting-app.ts";
import { type CountingFamily, CountingMesh } from "../support/counting-mesh.ts";
import { OpenStreams } from "../support/open-streams.ts";
import { eventually } from "../support/with-proxy.ts";

// `outrigger run -- PROGRAM` with real processes and signals: a replica that stays, and one that goes, whose sidecar is the
// parent of its application. test/integration/drain-matrix.test.ts has the two side by side.

const NOTICE = 300;
const GRACE = 2500;

let mesh: CountingMesh;
let friend: CountingApp;
let caller: CountingCaller;
let families = 0;
/** What there is to be ended, however far the start came. */
const ends: (() => unknown)[] = [];

before(async () => {
  mesh = await CountingMesh.start({ drain: { notice: `${NOTICE}ms`, grace: `${GRACE}ms` } });
  ends.push(() => mesh.stop());
  friend = await mesh.application("friend");
  await mesh.add("stays", { delay: 2 });
  await mesh.reaches(1);
  caller = new CountingCaller("call", mesh.caller.address("outbound"), "counter");
  ends.push(() => caller.close());
});
after(async () => {
  for (const end of ends.reverse()) await end();
});

async function family(app: Partial<CountingAppOptions>): Promise<CountingFamily> {
  const made = await mesh.family(`leaves-${++families}`, { delay: 2, ...app }, friend);
  await made.pid();
  await mesh.reaches(2);
  await eventually(
    async () => (await mesh.tally.lines(made.name)).includes("greeting answered"),
    () => "the application's first call of its own",
  );
  return made;
}

/** What became of the calls that were made while `body` ran: those that failed, and whether any was executed twice. */
async function under(traffic: boolean, body: () => Promise<void>): Promise<void> {
  const failed = caller.failed.length;
  const answered = caller.answered.length;
  const stop = traffic ? caller.pace(100) : (): void => {};
  try {
    await sleep(200);
    await body();
    await sleep(200);
  } finally {
    stop();
    await caller.settled();
  }
  assert.deepEqual(caller.failed.slice(failed), []);
  if (traffic) assert.ok(caller.answered.length - answered > 20, `${caller.answered.length - answered} were answered`);
  const twice = [...(await mesh.tally.executions())].filter(([, count]) => count > 1);
  assert.deepEqual(twice, []);
}

interface Row {
  readonly onTerm: CountingAppOptions["onTerm"];
  readonly code: number;
  readonly says: string;
}

const rows: readonly Row[] = [
  { onTerm: "fast", code: 0, says: "ends with its code" },
  { onTerm: "slow", code: 0, says: "makes its last call, then ends" },
  // Nobody calls it any more when it hears the signal: even so no call is lost.
  { onTerm: "crashing", code: 1, says: "ends with its code, and loses nobody's call" },
  { onTerm: "silent", code: 128 + 9, says: "is ended when grace is over" },
];

for (const { onTerm, code, says } of rows) {
  for (const traffic of [true, false]) {
    test(`sidecar first: a ${onTerm} application ${traffic ? "with" : "without"} traffic ${says}`, async () => {
      const leaving = await family({ onTerm });
      await under(traffic, async () => {
        leaving.process.signal("SIGTERM");
        assert.equal((await leaving.process.exited).code, code, leaving.process.stderr());
      });
      const lines = await mesh.tally.lines(leaving.name);
      // It hears of it after everybody who might call it has.
      assert.equal(lines.filter((line) => line === "SIGTERM").length, 1);
      assert.deepEqual(
        lines.filter((line) => line.startsWith("farewell")),
        onTerm === "slow" ? ["farewell answered"] : [],
      );
      await mesh.reaches(1);
    });
  }
}

for (const traffic of [true, false]) {
  test(`application first: one that finishes what it has and ends by itself, ${traffic ? "with" : "without"} traffic`, async () => {
    const leaving = await family({ onTerm: "fast" });
    const pid = await leaving.pid();
    await under(traffic, async () => {
      process.kill(pid, "SIGTERM");
      assert.equal((await leaving.process.exited).code, 0, leaving.process.stderr());
    });
    await mesh.reaches(1);
  });

  test(`an application that is slow to start gets its first call when it serves, ${traffic ? "with" : "without"} traffic`, async () => {
    await under(traffic, async () => {
      const joining = await mesh.family(`leaves-${++families}`, { delay: 2, startsAfter: 1500 }, friend);
      await joining.pid();
      await mesh.reaches(2);
      joining.process.signal("SIGTERM");
      assert.equal((await joining.process.exited).code, 0);
    });
    await mesh.reaches(1);
  });
}

test("an application that crashes takes its sidecar with it, by its code, and no calls but those it had", async () => {
  const leaving = await family({ delay: 50 });
  const failed = caller.failed.length;
  const stop = caller.pace(100);
  await sleep(300);
  process.kill(await leaving.pid(), "SIGKILL");
  assert.equal((await leaving.process.exited).code, 128 + 9);
  await sleep(200);
  stop();
  await caller.settled();
  const lost = caller.failed.slice(failed);
  assert.deepEqual(
    lost.filter(({ reason }) => reason !== "UPSTREAM_LOST"),
    [],
  );
  // 50 of 100 calls a second, 50 ms each, are at one replica: a few at any time.
  assert.ok(lost.length < 25, `${lost.length} were lost`);
  await mesh.reaches(1);
});

test("streams that are open when the sidecar is asked to go are used on, and end in good order", async () => {
  const leaving = await family({ onTerm: "fast" });
  const streams = new OpenStreams(10, leaving.inbound, "counter");
  try {
    await streams.round();
    leaving.process.signal("SIGTERM");
    // Beyond the notice, when callers have been asked to go.
    const end = performance.now() + NOTICE + 500;
    while (performance.now() < end) {
      await streams.round();
      await sleep(20);
    }
    assert.deepEqual([...streams.broken], []);
    assert.ok(!(await mesh.tally.lines(leaving.name)).includes("SIGTERM"), "the application is in use");
    assert.equal(await streams.close(), 0);
    assert.equal((await leaving.process.exited).code, 0);
  } finally {
    streams.destroy();
  }
  await mesh.reaches(1);
});

for (const onTerm of ["fast", "silent"] as const) {
  test(`two signals: neither a ${onTerm} application nor its calls are waited for`, async () => {
    const leaving = await family({ onTerm });
    const pid = await leaving.pid();
    leaving.process.signal("SIGTERM");
    await sleep(250);
    leaving.process.signal("SIGTERM");
    assert.equal((await leaving.process.exited).code, 130);
    assert.throws(() => process.kill(pid, 0), "the application is gone, too");
    await mesh.reaches(1);
  });
}

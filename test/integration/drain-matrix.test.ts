import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CountingCaller } from "../support/caller.ts";
import type { CountingAppOptions } from "../support/counting-app.ts";
import { CountingMesh, type CountingReplica } from "../support/counting-mesh.ts";
import { counterService } from "../support/counting-service.ts";
import { grpcClient } from "../support/grpc-service.ts";
import { OpenStreams } from "../support/open-streams.ts";
import { eventually } from "../support/with-proxy.ts";

interface Row {
  readonly name: string;
  readonly app: Partial<CountingAppOptions>;
  /** Milliseconds that the sidecar may take from the signal to its end. */
  readonly least: number;
  readonly most: number;
  /** Reasons for which calls may fail; no other is allowed, and without one no call may fail at all. */
  readonly mayFail?: readonly string[];
}

const NOTICE = 300;
const GRACE = 2500;
/** For a machine that is busy. */
const SLACK = 4000;

const rows: readonly Row[] = [
  { name: "fast", app: { onTerm: "fast", delay: 2 }, least: NOTICE, most: NOTICE + SLACK },
  // It stops listening at once, takes a second, and makes a last call.
  { name: "slow", app: { onTerm: "slow", delay: 2 }, least: 1000, most: NOTICE + GRACE + SLACK },
  {
    name: "crashing",
    app: { onTerm: "crashing", delay: 2 },
    least: NOTICE,
    most: NOTICE + SLACK,
    mayFail: ["UPSTREAM_LOST"],
  },
  { name: "silent", app: { onTerm: "silent", delay: 2 }, least: NOTICE + GRACE, most: NOTICE + GRACE + SLACK },
];

/** Two replicas, of which one is to go; its application has made a call of its own. */
async function withMesh(
  app: Partial<CountingAppOptions>,
  body: (mesh: CountingMesh, leaving: CountingReplica) => Promise<void>,
): Promise<void> {
  const drain = { notice: `${NOTICE}ms`, grace: `${GRACE}ms` };
  const mesh = await CountingMesh.start({ drain });
  try {
    const friend = await mesh.application("friend");
    await mesh.add("stays", { delay: 2 });
    const leaving = await mesh.add("leaves", app, friend);
    await mesh.reaches(2);
    await eventually(
      async () => (await mesh.tally.lines("leaves")).includes("greeting answered"),
      () => "the application's first call of its own",
    );
    await body(mesh, leaving);
  } finally {
    await mesh.stop();
  }
}

for (const { name, app, least, most, mayFail = [] } of rows) {
  for (const traffic of [true, false]) {
    test(`a ${name} application and its sidecar get SIGTERM at once, ${traffic ? "with" : "without"} traffic`, async () => {
      await withMesh(app, async (mesh, { app: application, sidecar }) => {
        const caller = new CountingCaller("call", mesh.caller.address("outbound"), "counter");
        const stop = traffic ? caller.pace(150) : (): void => {};
        try {
          await sleep(300);
          const began = performance.now();
          sidecar.process.signal("SIGTERM");
          application.process.signal("SIGTERM");
          const exit = await sidecar.process.exited;
          const took = performance.now() - began;
          await sleep(200);
          stop();
          await caller.settled();
          assert.deepEqual(exit, { code: 0, signal: null }, sidecar.process.stderr());
          assert.ok(took >= least && took <= most, `the sidecar took ${Math.round(took)} ms, not ${least} to ${most}`);
          assert.deepEqual(
            caller.failed.filter(({ reason }) => !mayFail.includes(reason)),
            [],
          );
          if (traffic) assert.ok(caller.answered.length > 50, `${caller.answered.length} calls were answered`);
          const executions = await mesh.tally.executions();
          assert.deepEqual(
            [...executions].filter(([, count]) => count > 1),
            [],
          );
          const last = (await mesh.tally.lines("leaves")).filter((line) => line.startsWith("farewell"));
          assert.deepEqual(last, name === "slow" ? ["farewell answered"] : []);
        } finally {
          stop();
          caller.close();
        }
      });
    });
  }
}

for (const traffic of [true, false]) {
  test(`streams that are open when both get SIGTERM go on and end in good order, ${traffic ? "with" : "without"} traffic`, async () => {
    await withMesh({ onTerm: "fast", delay: 2 }, async (mesh, { app, sidecar }) => {
      const caller = new CountingCaller("call", mesh.caller.address("outbound"), "counter");
      const stop = traffic ? caller.pace(150) : (): void => {};
      // Of the application that goes, and through both sidecars of either.
      const near = new OpenStreams(10, sidecar.address("inbound"), "counter");
      const far = new OpenStreams(10, mesh.caller.address("outbound"), "counter");
      try {
        const use = async (): Promise<void> => void (await Promise.all([near.round(), far.round()]));
        await use();
        sidecar.process.signal("SIGTERM");
        app.process.signal("SIGTERM");
        // Beyond the notice, when callers have been asked to go.
        const end = performance.now() + NOTICE + 500;
        while (performance.now() < end) {
          await use();
          await sleep(20);
        }
        assert.deepEqual([[...near.broken], [...far.broken]], [[], []]);
        assert.deepEqual([await near.close(), await far.close()], [0, 0], "streams that did not end in good order");
        assert.deepEqual(await sidecar.process.exited, { code: 0, signal: null });
        assert.doesNotMatch(sidecar.process.stderr(), /were cut/);
        stop();
        await caller.settled();
        assert.deepEqual(caller.failed, []);
      } finally {
        stop();
        for (const one of [near, far]) one.destroy();
        caller.close();
      }
    });
  });
}

test("a stream that does not end is cut with DRAINING when grace is over, and the exit code is 0", async () => {
  await withMesh({ onTerm: "silent" }, async (_mesh, { sidecar }) => {
    const client = grpcClient(sidecar.address("inbound"), "counter");
    try {
      const { hold } = counterService;
      const stream = client.makeBidiStreamRequest(hold.path, hold.requestSerialize, hold.responseDeserialize);
      const echoed = new Promise((resolve) => stream.once("data", resolve));
      stream.write(Buffer.from("hello"));
      await echoed;
      const failed = new Promise<{ code: number; metadata: { get(name: string): unknown[] } }>((resolve) =>
        stream.once("error", resolve),
      );
      const began = performance.now();
      sidecar.process.signal("SIGTERM");
      const error = await failed;
      assert.ok(performance.now() - began >= NOTICE + GRACE, "not before grace is over");
      assert.deepEqual([error.code, error.metadata.get("outrigger-reason")], [14, ["DRAINING"]]);
      assert.deepEqual(await sidecar.process.exited, { code: 0, signal: null });
      assert.match(sidecar.process.stderr(), /1 streams had not ended by the end of grace and were cut/);
    } finally {
      client.close();
    }
  });
});

for (const name of ["fast", "silent"] as const) {
  test(`a second signal does not wait for a ${name} application: exit code 130`, async () => {
    await withMesh({ onTerm: name, delay: 2 }, async (_mesh, { sidecar }) => {
      const began = performance.now();
      sidecar.process.signal("SIGTERM");
      await sleep(250);
      sidecar.process.signal("SIGTERM");
      assert.deepEqual(await sidecar.process.exited, { code: 130, signal: null });
      assert.ok(performance.now() - began < NOTICE + GRACE);
    });
  });
}

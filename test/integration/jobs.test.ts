import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type CountingApp, Tally } from "../support/counting.ts";
import { freePort } from "../support/ports.ts";
import { type Exit, type RunningProcess, startProcess } from "../support/process.ts";
import { type SidecarProcess, startParent, startSidecarProcess } from "../support/sidecar-process.ts";

// Jobs that end, and their sidecars with them: as the parent of the job, and beside it as in one pod, where containers share
// loopback.

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const script = join(import.meta.dirname, "..", "support", "job.ts");
const loopback = "127.0.0.1:0";
const DONE = { code: 0, signal: null };

let folder: string;
let application: CountingApp;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "outrigger-jobs-"));
  application = await new Tally(folder).start("counter", { delay: 1 });
});
after(async () => {
  await application.process.kill();
  await rm(folder, { recursive: true, force: true });
});

function config(more: object = {}): Readonly<Record<string, unknown>> {
  return {
    upstreams: { counter: { discovery: "static", endpoints: [application.address] } },
    // Of an hour, so that a sidecar that waits for something shows.
    drain: { notice: "1h", grace: "1h" },
    ...more,
  };
}

async function beside(body: (sidecar: SidecarProcess) => Promise<void>): Promise<void> {
  const sidecar = await startSidecarProcess(config());
  try {
    await body(sidecar);
  } finally {
    await sidecar.process.kill();
  }
}

function gated(
  sidecar: SidecarProcess,
  when: "ended" | "succeeded",
  command: readonly string[],
): Promise<RunningProcess> {
  const options = ["--probe", sidecar.address("probe"), "--admin", sidecar.address("admin"), "--drain", when];
  return startProcess(process.execPath, [main, "wait", ...options, "--", ...command]);
}

const job = (sidecar: SidecarProcess, code: number): string[] => [
  process.execPath,
  script,
  sidecar.address("outbound"),
  String(code),
];

for (const code of [0, 7]) {
  test(`run -- JOB: one that ends with ${code} ends its sidecar with that code, its calls answered`, async () => {
    const listeners = { outbound: `127.0.0.1:${await freePort()}`, admin: loopback, probe: loopback };
    const command = [process.execPath, script, listeners.outbound, String(code)];
    const sidecar = await startParent(config({ listeners }), command);
    assert.deepEqual(await sidecar.exited, { code, signal: null });
    assert.match(sidecar.stdout(), /^made 40 failed 0$/m);
  });
}

for (const path of ["/drain", "/quit"]) {
  test(`a job beside its sidecar that asks it to go by POST ${path} ends both`, async () => {
    await beside(async (sidecar) => {
      const run = await startProcess(process.execPath, [script, sidecar.address("outbound"), "0", path], {
        env: { ADMIN: sidecar.address("admin") },
      });
      assert.deepEqual(await run.exited, DONE);
      assert.match(run.stdout(), new RegExp(`^made 40 failed 0\n${path} 202\n$`));
      assert.deepEqual(await sidecar.process.exited, DONE);
    });
  });
}

for (const [when, code, goes] of [
  ["ended", 0, true],
  ["ended", 7, true],
  ["succeeded", 0, true],
  ["succeeded", 7, false],
] as const) {
  test(`wait --drain ${when} -- JOB: one that ends with ${code} ${goes ? "ends" : "does not end"} its sidecar`, async () => {
    await beside(async (sidecar) => {
      const run = await gated(sidecar, when, job(sidecar, code));
      assert.deepEqual(await run.exited, { code, signal: null } satisfies Exit, run.stderr());
      assert.match(run.stdout(), /^made 40 failed 0$/m);
      if (goes) {
        assert.deepEqual(await sidecar.process.exited, DONE);
      } else {
        // Started again, as by the kubelet, it still has its sidecar.
        const again = await gated(sidecar, when, job(sidecar, 0));
        assert.deepEqual(await again.exited, DONE);
        assert.match(again.stdout(), /^made 40 failed 0$/m);
        assert.deepEqual(await sidecar.process.exited, DONE);
      }
    });
  });
}

test("a signal to the gate of a job is the job's, and its sidecar ends after it", async () => {
  await beside(async (sidecar) => {
    const waits =
      "process.on('SIGTERM', () => setTimeout(() => process.exit(3), 50)); setInterval(() => {}, 1000); console.log('up')";
    const run = await gated(sidecar, "ended", [process.execPath, "-e", waits]);
    await run.line(/^up$/, 20_000);
    run.signal("SIGTERM");
    assert.deepEqual(await run.exited, { code: 3, signal: null });
    assert.deepEqual(await sidecar.process.exited, DONE);
  });
});

test("a job that cannot be started has ended, too", async () => {
  await beside(async (sidecar) => {
    const run = await gated(sidecar, "ended", ["no-such-program"]);
    assert.equal((await run.exited).code, 127);
    assert.match(run.stderr(), /cannot start no-such-program/);
    assert.deepEqual(await sidecar.process.exited, DONE);
  });
});

test("where the sidecar is gone already the job's code stands, and it is said", async () => {
  await beside(async (sidecar) => {
    const waits = "process.stdin.resume(); console.log('up'); setTimeout(() => process.exit(5), 1000)";
    const run = await gated(sidecar, "ended", [process.execPath, "-e", waits]);
    await run.line(/^up$/, 20_000);
    await sidecar.process.kill();
    assert.equal((await run.exited).code, 5);
    assert.match(run.stderr(), /the sidecar at 127\.0\.0\.1:\d+ was not drained: cannot ask/);
  });
});

test("a gate that is asked to go while it waits goes", async () => {
  const probe = `127.0.0.1:${await freePort()}`;
  const run = await startProcess(process.execPath, [main, "wait", "--probe", probe, "--", "true"]);
  await run.line(/waiting: /, 20_000);
  run.signal("SIGTERM");
  assert.deepEqual(await run.exited, { code: 128 + 15, signal: null });
});

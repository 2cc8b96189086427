import assert from "node:assert/strict";
import { test } from "node:test";
import { CountingCaller } from "../support/caller.ts";
import { CountingMesh } from "../support/counting-mesh.ts";

/** Three replicas and a caller. */
async function withMesh(
  delay: number,
  body: (mesh: CountingMesh, caller: CountingCaller) => Promise<void>,
): Promise<void> {
  const mesh = await CountingMesh.start();
  try {
    for (const name of ["a", "b", "c"]) await mesh.add(name, { delay });
    await mesh.reaches(3);
    const caller = new CountingCaller("call", mesh.caller.address("outbound"), "counter");
    try {
      await body(mesh, caller);
    } finally {
      caller.close();
    }
  } finally {
    await mesh.stop();
  }
}

/** Each call was executed once, or not answered and executed once at most. */
async function assertOnce(mesh: CountingMesh, caller: CountingCaller): Promise<void> {
  const executions = await mesh.tally.executions();
  assert.deepEqual(
    [...executions].filter(([, count]) => count > 1),
    [],
    "calls that were executed twice",
  );
  assert.deepEqual(
    caller.answered.filter((id) => !executions.has(id)),
    [],
    "answers to calls that nobody executed",
  );
}

/** Lines of the caller's sidecar that say that a call was made again, by their proof. */
function retriesOf({ caller }: CountingMesh): string[] {
  return caller.process
    .stderr()
    .split("\n")
    .filter((line) => line.includes('"a call is made again"'))
    .map((line) => String(Object(JSON.parse(line)).proof));
}

test("the application of one of three replicas is killed while its sidecar stays: 10,000 calls, none failed, none twice", async () => {
  await withMesh(0, async (mesh, caller) => {
    await caller.make(3000, 20);
    // Nothing is under way: of a call that is, nobody could say whether it was executed.
    await mesh.replicas[1]?.app.process.kill();
    await caller.make(7000, 20);
    assert.deepEqual(caller.failed, []);
    assert.equal(caller.answered.length, 10_000);
    await assertOnce(mesh, caller);
    const executions = await mesh.tally.executions();
    assert.equal(executions.size, 10_000);
    const proofs = retriesOf(mesh);
    assert.ok(proofs.length > 0, "calls were made again");
    for (const proof of proofs)
      assert.match(
        proof,
        /^the called sidecar says that its application has not seen the call: CONNECT_(REFUSED|FAILED)$/,
      );
  });
});

test("the application of one of three replicas ends in good order under calls: none failed, none twice", async () => {
  await withMesh(2, async (mesh, caller) => {
    const making = caller.make(4000, 20);
    while (caller.calls < 1500) await caller.call();
    mesh.replicas[1]?.app.process.signal("SIGTERM");
    await making;
    await caller.settled();
    assert.deepEqual(caller.failed, []);
    await assertOnce(mesh, caller);
  });
});

test("the application of one of three replicas is killed under calls: only those that it had may fail, none twice", async () => {
  await withMesh(5, async (mesh, caller) => {
    const making = caller.make(3000, 24);
    while (caller.calls < 1000) await caller.call();
    const [, { app } = { app: undefined }] = mesh.replicas;
    await app?.process.kill();
    await making;
    await caller.settled();
    assert.ok(caller.failed.length <= 24, `${caller.failed.length} calls failed`);
    for (const { status, reason } of caller.failed)
      assert.deepEqual([status, reason], ["UNAVAILABLE", "UPSTREAM_LOST"]);
    await assertOnce(mesh, caller);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { runProcess, startProcess } from "./process.ts";

const node = process.execPath;

test("a process that ran to its end gives its output and its exit code", async () => {
  const done = await runProcess(node, ["-e", "console.log('out'); console.error('err'); process.exitCode = 7"]);
  assert.deepEqual(done, { code: 7, signal: null, stdout: "out\n", stderr: "err\n" });
});

test("a line that matches is found on either stream, printed before or after it was asked for", async () => {
  const started = await startProcess(node, [
    "-e",
    "console.error('listening on 4711'); setTimeout(() => console.log('ready now'), 50)",
  ]);
  const late = await started.line(/^ready (\w+)$/);
  const early = await started.line(/on (\d+)/);
  assert.equal(late[1], "now");
  assert.equal(early[1], "4711");
  await started.exited;
});

test("waiting for a line of a process that ends without it rejects with what it printed", async () => {
  const started = await startProcess(node, ["-e", "console.log('cannot bind'); process.exitCode = 1"]);
  await assert.rejects(started.line(/ready/), /ended \(code 1\) before a line \/ready\/: .*cannot bind/s);
});

test("waiting for a line that does not come rejects after the timeout", async () => {
  const started = await startProcess(node, ["-e", "setInterval(() => {}, 1000)"]);
  await assert.rejects(started.line(/ready/, 20), /no line \/ready\/ in 20 ms/);
  assert.deepEqual(await started.stop(), { code: null, signal: "SIGTERM" });
});

test("a process that ignores SIGTERM is killed when its grace is over", async () => {
  const started = await startProcess(node, [
    "-e",
    "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('up')",
  ]);
  await started.line(/up/);
  assert.deepEqual(await started.stop(20), { code: null, signal: "SIGKILL" });
});

test("a program that does not exist is an error at the start", async () => {
  await assert.rejects(startProcess("/nonexistent/program", []), /ENOENT/);
});

test("standard input, working directory and environment reach the process", async () => {
  const done = await runProcess(
    node,
    ["-e", "process.stdin.on('data', d => console.log(String(d), process.cwd(), process.env.A, process.env.B))"],
    { input: "in", cwd: "/", env: { A: "a", B: undefined } },
  );
  assert.equal(done.stdout, "in / a undefined\n");
});

test("a run that takes too long is killed and rejects", async () => {
  await assert.rejects(
    runProcess(node, ["-e", "setInterval(() => {}, 1000)"], { timeout: 50 }),
    /did not end in 50 ms/,
  );
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "./support/ports.ts";
import { type RunningProcess, runProcess, startProcess } from "./support/process.ts";

// The sidecar as the parent of its application, and the gate before one that is started beside it.

const main = join(dirname(dirname(fileURLToPath(import.meta.url))), "src", "main.ts");
const loopback = "127.0.0.1:0";
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "outrigger-run-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const config = (more: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({
    listeners: { outbound: loopback, admin: loopback, probe: loopback },
    drain: { notice: "10ms", grace: "5s" },
    ...more,
  });

/** A program in JavaScript, as the command of a sidecar. */
function parent(script: string, options: readonly string[] = [], text = config()): Promise<RunningProcess> {
  const args = [main, "run", "-c", "-", ...options, "--", process.execPath, "-e", script];
  return startProcess(process.execPath, args, { input: text });
}

function logged(sidecar: RunningProcess, message: RegExp): boolean {
  return sidecar
    .stderr()
    .split("\n")
    .some((line) => message.test(line));
}

test("the program starts once the sidecar is ready, is told where to call, and has standard output to itself", async () => {
  const sidecar = await parent(
    "fetch('http://' + process.env.OUTRIGGER_OUTBOUND).catch(() => {}).finally(() => console.log('at ' + process.env.OUTRIGGER_OUTBOUND))",
  );
  assert.deepEqual(await sidecar.exited, { code: 0, signal: null });
  assert.match(sidecar.stdout(), /^at 127\.0\.0\.1:[1-9]\d+\n$/);
});

test("when the program ends by itself, as a job does, the sidecar drains and goes with its exit code", async () => {
  for (const code of [0, 7]) {
    const sidecar = await parent(`process.exit(${code})`);
    assert.equal((await sidecar.exited).code, code);
    assert.ok(logged(sidecar, /the application has ended/));
  }
  const killed = await parent("process.kill(process.pid, 'SIGKILL')");
  assert.equal((await killed.exited).code, 128 + 9, "as a shell says it");
});

test("SIGTERM is passed on to the program, for whose last calls outbound stays; its exit code is the end", async () => {
  // Ends 300 ms after it was asked to, with a call through the sidecar in between.
  const sidecar = await parent(`
    process.on("SIGTERM", () => setTimeout(async () => {
      const answer = await fetch("http://" + process.env.OUTRIGGER_OUTBOUND).then(() => "answered", (error) => "cut: " + error.cause?.code);
      console.log("last call " + answer);
      process.exit(3);
    }, 300));
    setInterval(() => {}, 1000);
    console.log("up");`);
  await sidecar.line(/^up$/, 30_000);
  sidecar.signal("SIGTERM");
  assert.equal((await sidecar.exited).code, 3);
  // HTTP/1 is not what it speaks, but it still listens: a refused connection would read ECONNREFUSED.
  assert.match(sidecar.stdout(), /last call (?!cut: ECONNREFUSED)/);
});

test("a program that does not go is ended when grace is over", async () => {
  const sidecar = await parent(
    'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("up")',
    [],
    config({ drain: { notice: "10ms", grace: "300ms" } }),
  );
  await sidecar.line(/^up$/, 30_000);
  sidecar.signal("SIGTERM");
  assert.equal((await sidecar.exited).code, 128 + 9);
});

test("a second signal ends both at once", async () => {
  const sidecar = await parent(
    'process.on("SIGTERM", () => {}); setInterval(() => {}, 1000); console.log("up " + process.pid)',
    [],
    config({ drain: { notice: "60s", grace: "60s" } }),
  );
  const [, pid] = await sidecar.line(/^up (\d+)$/, 30_000);
  sidecar.signal("SIGTERM");
  await sidecar.line(/draining|outbound/, 10_000);
  await new Promise((resolve) => setTimeout(resolve, 300));
  sidecar.signal("SIGTERM");
  assert.equal((await sidecar.exited).code, 130);
  assert.throws(() => process.kill(Number(pid), 0), "the program is gone, too");
});

test("a program that is not there ends with 127, as in a shell, and the log says so", async () => {
  const sidecar = await startProcess(process.execPath, [main, "run", "-c", "-", "--", "no-such-program"], {
    input: config(),
  });
  assert.equal((await sidecar.exited).code, 127);
  assert.ok(logged(sidecar, /cannot start no-such-program/));
});

test("a program is not started when the sidecar does not get ready in time, and the log says what was waited for", async () => {
  const dead = await freePort();
  const sidecar = await parent(
    "console.log('started')",
    ["--wait", "300ms"],
    config({ discovery: { consul: { address: `http://127.0.0.1:${dead}` } }, upstreams: { orders: {} } }),
  );
  assert.equal((await sidecar.exited).code, 1);
  assert.equal(sidecar.stdout(), "");
  assert.ok(logged(sidecar, /"what":"upstream orders".*not ready within 300 ms/));
});

test("a command line that makes no sense is said to make none", async () => {
  for (const [args, says] of [
    [["run", "-c", "-", "user"], /takes no "user"/],
    [["run", "-c", "-", "--wait", "1s"], /--wait has no effect without a program/],
    [["run", "-c", "-", "--wait", "soon", "--", "true"], /--wait: /],
    [["check", "-c", "-", "--", "true"], /check takes no program behind --/],
    [["wait", "--timeout", "soon"], /--timeout: /],
    [["wait", "--probe", "nowhere"], /--probe: /],
    [["wait", "--drain", "ended"], /--drain has no effect without a program/],
    [["wait", "--drain", "now", "--", "true"], /--drain is "now", expected ended or succeeded/],
    [["wait", "--admin", "127.0.0.1:1", "--", "true"], /--admin has no effect without --drain/],
    [["wait", "--drain", "ended", "--admin", "nowhere", "--", "true"], /--admin nowhere: /],
  ] as const) {
    const done = await runProcess(process.execPath, [main, ...args], { input: "", timeout: 30_000 });
    assert.equal(done.code, 2);
    assert.match(done.stderr, says);
  }
});

test("the gate waits until the sidecar has been ready, says what for, and becomes the program then", async (t) => {
  let started = false;
  const server = createServer((request, response) => {
    assert.equal(request.url, "/startup");
    response.statusCode = started ? 200 : 503;
    response.end(
      JSON.stringify(
        started ? { started } : { started, waiting: [{ what: "upstream a", since: "", detail: "consul is away" }] },
      ),
    );
  });
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const script = join(folder, "app.js");
  await writeFile(script, "console.log('app ' + process.pid + ' ' + process.argv.slice(2).join(','))");
  const gate = await startProcess(process.execPath, [
    ...[main, "wait", "--probe", `127.0.0.1:${address.port}`, "--"],
    ...[process.execPath, script, "--flag", "x"],
  ]);
  await gate.line(/waiting: upstream a \(consul is away\)/, 20_000);
  started = true;
  assert.deepEqual(await gate.exited, { code: 0, signal: null });
  assert.equal(gate.stdout(), `app ${gate.pid} --flag,x\n`, "it has become the program: the process is the same");
});

test("the gate gives up after its time, and without a program it only waits", async () => {
  const done = await runProcess(
    process.execPath,
    [main, "wait", "--probe", `127.0.0.1:${await freePort()}`, "--timeout", "300ms"],
    { timeout: 30_000 },
  );
  assert.equal(done.code, 1);
  assert.match(done.stderr, /waiting: cannot ask 127\.0\.0\.1:\d+: .*ECONNREFUSED/);
  assert.match(done.stderr, /was not ready within 300 ms/);
});

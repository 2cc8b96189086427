import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { namespacesSkip } from "./support/netns.ts";
import { type RunningProcess, startProcess } from "./support/process.ts";
import { eventually, inScope, type Scope } from "./support/with-proxy.ts";

// A sidecar that is asked to go before it is ready, and one that is the first process of a container, where the kernel keeps
// signals that nobody listens to, and where everybody's orphans are left.

const main = join(import.meta.dirname, "..", "src", "main.ts");
const loopback = "127.0.0.1:0";
/** Nobody listens there. */
const AWAY = "http://127.0.0.1:9";

function textOf(more: Readonly<Record<string, unknown>>): string {
  const listeners = { outbound: loopback, admin: loopback, probe: loopback };
  const all = "service" in more ? { ...listeners, inbound: loopback } : listeners;
  return JSON.stringify({ listeners: all, drain: { notice: "10ms", grace: "2s" }, ...more });
}

async function start(
  scope: Scope,
  more: Readonly<Record<string, unknown>>,
  program: readonly string[] = [],
): Promise<RunningProcess> {
  const rest = program.length === 0 ? [] : ["--", ...program];
  const sidecar = await startProcess(process.execPath, [main, "run", "-c", "-", ...rest], { input: textOf(more) });
  scope.onEnd(async () => void (await sidecar.kill()));
  return sidecar;
}

test("SIGTERM while it waits for Consul ends it with 0, and it never says that it is ready", async () => {
  await inScope(async (scope) => {
    const sidecar = await start(scope, { discovery: { consul: { address: AWAY } }, upstreams: { up: {} } });
    await sidecar.line(/listening for outbound/, 30_000);
    sidecar.signal("SIGTERM");
    assert.deepEqual(await sidecar.exited, { code: 0, signal: null });
    assert.equal(sidecar.stdout(), "");
  });
});

test("SIGTERM while it waits for Consul ends it with 0, and the program that waited for it is not started", async () => {
  await inScope(async (scope) => {
    const waits = { discovery: { consul: { address: AWAY } }, upstreams: { up: {} } };
    const sidecar = await start(scope, waits, [process.execPath, "-e", "console.log('started')"]);
    await sidecar.line(/listening for outbound/, 30_000);
    sidecar.signal("SIGTERM");
    assert.deepEqual(await sidecar.exited, { code: 0, signal: null });
    assert.equal(sidecar.stdout(), "");
  });
});

for (const [workers, moments] of [
  [1, [100, /"msg"/]],
  [2, [/"msg"/]],
] as const) {
  test(`SIGTERM at any moment of a start with ${workers} threads ends it, and leaves nothing published`, async () => {
    await inScope(async (scope) => {
      const folder = await mkdtemp(join(tmpdir(), "outrigger-signals-"));
      scope.onEnd(() => rm(folder, { recursive: true, force: true }));
      const service = { name: "up", address: "127.0.0.1:9", health: "none" };
      const whole = { service, workers, discovery: { directory: { path: folder } } };
      for (const moment of moments) {
        const sidecar = await start(scope, whole);
        if (typeof moment === "number") await new Promise((resolve) => setTimeout(resolve, moment));
        else await sidecar.line(moment, 30_000);
        sidecar.signal("SIGTERM");
        const { code, signal } = await sidecar.exited;
        // Until it listens to signals it ends as any program does.
        assert.ok(
          code === 0 || (signal === "SIGTERM" && sidecar.stderr() === ""),
          `${moment}: ${code} ${sidecar.stderr()}`,
        );
        assert.doesNotMatch(sidecar.stderr(), /"level":"(error|fatal)"/);
        assert.deepEqual(
          (await readdir(folder)).filter((name) => name.endsWith(".json")),
          [],
          `${moment}`,
        );
      }
    });
  });
}

// --- the first process of a container ---

const asFirst = { skip: namespacesSkip };

interface First {
  readonly process: RunningProcess;
  /** Its number out here. */
  readonly pid: number;
}

/** A sidecar that is process 1 of a namespace of its own. */
async function startFirst(
  scope: Scope,
  program: readonly string[],
  text = textOf({}),
  options: readonly string[] = [],
): Promise<First> {
  const namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
  const rest = program.length === 0 ? [] : ["--", ...program];
  const command = [...namespace, process.execPath, ...options, main, "run", "-c", "-", ...rest];
  const started = await startProcess("unshare", command, { input: text });
  scope.onEnd(async () => void (await started.kill()));
  let pid = 0;
  await eventually(
    async () => {
      const children = await readFile(`/proc/${started.pid}/task/${started.pid}/children`, "utf8");
      pid = Number(children);
      return pid > 0;
    },
    () => "its process",
  );
  return { process: started, pid };
}

test(
  "as the first process it lets go what its application leaves behind, and ends with its code",
  asFirst,
  async () => {
    await inScope(async (scope) => {
      // The shell in between ends at once, so nobody but process 1 is there for the sleeping one, and for the next.
      const script = `for n in 1 2 3; do sh -c "sleep 0.2 & exit 0"; done
      n=0; while grep -qs 'sleep' /proc/[0-9]*/stat && [ $n -lt 200 ]; do sleep 0.05 ; n=$((n+1)); done
      grep -ls ') Z ' /proc/[0-9]*/stat | wc -l; exit 5`;
      const { process: sidecar } = await startFirst(scope, ["sh", "-c", script]);
      assert.equal((await sidecar.exited).code, 5);
      assert.equal(sidecar.stdout().trim(), "0", "zombies");
    });
  },
);

/** Has a program take its time to load, and say that it does. */
const slow = encodeURIComponent(`
  import { writeSync } from "node:fs";
  import { registerHooks } from "node:module";
  registerHooks({
    load(url, context, next) {
      if (url.endsWith("/cli.ts")) {
        writeSync(1, "loading\\n");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
      }
      return next(url, context);
    },
  });`);

test("as the first process it hears SIGTERM while it is still being loaded", asFirst, async () => {
  await inScope(async (scope) => {
    const { process: sidecar, pid } = await startFirst(scope, [], textOf({}), [
      `--import=data:text/javascript,${slow}`,
    ]);
    await sidecar.line(/^loading$/, 30_000);
    process.kill(pid, "SIGTERM");
    const { code } = await sidecar.exited;
    assert.ok(code === 0 || code === 128 + 15, `${code} ${sidecar.stderr()}`);
  });
});

test(
  "as the first process it drains on SIGQUIT, not on SIGHUP, and passes on what is for its application",
  asFirst,
  async () => {
    await inScope(async (scope) => {
      const script = `for (const s of ["SIGTERM", "SIGUSR1", "SIGUSR2"]) process.on(s, () => { console.log("got " + s); if (s === "SIGTERM") process.exit(7) }); setInterval(() => {}, 1000); console.log("up")`;
      const first = await startFirst(scope, [process.execPath, "-e", script]);
      await first.process.line(/^up$/, 30_000);
      process.kill(first.pid, "SIGHUP");
      await first.process.line(/standard input and cannot be read again/);
      for (const passed of ["SIGUSR1", "SIGUSR2"] as const) {
        process.kill(first.pid, passed);
        await first.process.line(new RegExp(`^got ${passed}$`));
      }
      process.kill(first.pid, "SIGQUIT");
      assert.equal((await first.process.exited).code, 7);
      assert.match(first.process.stdout(), /^got SIGTERM$/m);
      assert.doesNotMatch(first.process.stderr(), /Debugger listening/);
    });
  },
);

test("as the first process a second SIGTERM ends it and its application at once, with 130", asFirst, async () => {
  await inScope(async (scope) => {
    const deaf = 'process.on("SIGTERM", () => console.log("heard")); setInterval(() => {}, 1000); console.log("up")';
    const first = await startFirst(
      scope,
      [process.execPath, "-e", deaf],
      textOf({ drain: { notice: "10ms", grace: "10m" } }),
    );
    await first.process.line(/^up$/, 30_000);
    process.kill(first.pid, "SIGTERM");
    await first.process.line(/^heard$/);
    // One within 200 ms is the same one, passed on.
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.kill(first.pid, "SIGTERM");
    assert.equal((await first.process.exited).code, 130);
  });
});

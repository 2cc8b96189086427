import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Completed, runProcess, startProcess } from "./support/process.ts";

// The launcher is run from a made-up package, beside a program that says how it was started. The pinned Node of that
// package is a script that names itself and goes on in the real one, so that every way of launching runs on any Node.

const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const version = process.version.slice(1);
const PROGRAM = `
  const facts = { args: process.argv.slice(2), execArgv: process.execArgv, pid: process.pid, via: process.env.VIA };
  console.log(JSON.stringify({ ...facts, marked: "OUTRIGGER_RELAUNCHED" in process.env, form: FORM }));
  const [mode, value] = facts.args;
  if (mode === "exit") process.exit(Number(value));
  if (mode === "throw") throw new Error("boom");
  if (mode === "wait") {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"]) {
      process.on(signal, () => {
        console.log("got " + signal);
        if (signal === value) process.exit(9);
      });
    }
    console.log("waiting");
    setInterval(() => {}, 1000);
  }
`;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "launcher-"));
  process.env.XDG_CACHE_HOME = join(folder, "cache");
  delete process.env.NODE_COMPILE_CACHE;
});
after(() => rm(folder, { recursive: true }));

interface Layout {
  readonly name: string;
  readonly sources?: boolean;
  readonly bundle?: boolean;
  /** The version that the pinned Node's package claims; absent: there is no such package. */
  readonly pinned?: string;
}

/** Lays out a package and gives its launcher. */
async function layOut({ name, sources, bundle, pinned }: Layout): Promise<string> {
  const root = join(folder, name);
  await mkdir(join(root, "src"), { recursive: true });
  await mkdir(join(root, "dist"), { recursive: true });
  await writeFile(join(root, "package.json"), '{"type":"module"}');
  const launcher = join(root, "src", "launcher.js");
  await copyFile(join(repository, "src", "launcher.js"), launcher);
  // Types, so that the sources run only where they are stripped.
  if (sources) await writeFile(join(root, "src", "main.ts"), `const FORM: string = "sources";${PROGRAM}`);
  if (bundle) await writeFile(join(root, "dist", "outrigger.js"), `const FORM = "bundle";${PROGRAM}`);
  if (pinned !== undefined) {
    const bin = join(root, "node_modules", "node", "bin");
    await mkdir(bin, { recursive: true });
    await writeFile(
      join(bin, "../package.json"),
      JSON.stringify({ name: "node", version: pinned, bin: { node: "bin/node" } }),
    );
    await writeFile(join(bin, "node"), `#!/bin/sh\nVIA=pinned exec "${process.execPath}" "$@"\n`, { mode: 0o755 });
  }
  return launcher;
}

/** What the program said of its start. */
function facts(run: Completed): Record<string, unknown> {
  assert.equal(run.stderr, "");
  return Object(JSON.parse(run.stdout.split("\n")[0] ?? ""));
}

// Without process.execve, as on Node 20, the launcher stays as the parent.
const AS_CHILD = ["--import", "data:text/javascript,delete process.execve"];
const ways = [
  { way: "as a child", flags: AS_CHILD },
  { way: "in its own place", flags: [] },
];

for (const { way, flags } of ways) {
  test(`another Node goes on under the pinned one ${way}, with arguments and exit code`, async () => {
    const launcher = await layOut({ name: `relaunch ${way}`, sources: true, pinned: "0.0.1" });
    const run = await runProcess(process.execPath, [...flags, launcher, "exit", "7", "--flag", "a b"], { cwd: "/" });
    const { pid, ...rest } = facts(run);
    assert.equal(run.code, 7);
    assert.deepEqual(rest, {
      args: ["exit", "7", "--flag", "a b"],
      execArgv: flags,
      via: "pinned",
      marked: false,
      form: "sources",
    });
    assert.equal(typeof pid, "number");
  });

  test(`signals reach the program that runs ${way}`, async () => {
    const launcher = await layOut({ name: `signals ${way}`, sources: true, pinned: "0.0.1" });
    const run = await startProcess(process.execPath, [...flags, launcher, "wait", "SIGTERM"]);
    await run.line(/^waiting$/);
    for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGINT", "SIGTERM"] as const) {
      run.signal(signal);
      await run.line(new RegExp(`^got ${signal}$`));
    }
    assert.deepEqual(await run.exited, { code: 9, signal: null });
    assert.equal(run.stdout().match(/got/g)?.length, 6);
  });
}

test("the death of the child by a signal is told as 128 and the signal's number", async () => {
  const launcher = await layOut({ name: "death", sources: true, pinned: "0.0.1" });
  const run = await startProcess(process.execPath, [...AS_CHILD, launcher, "wait"]);
  const [line] = await run.line(/^{.*}$/);
  const { pid } = Object(JSON.parse(line));
  assert.notEqual(pid, run.pid);
  process.kill(pid, "SIGKILL");
  assert.deepEqual(await run.exited, { code: 137, signal: null });
});

test("under the pinned Node the program runs in the same process", async () => {
  const launcher = await layOut({ name: "same", sources: true, pinned: version });
  const run = await startProcess(process.execPath, [launcher, "exit", "3"]);
  const [line] = await run.line(/^{.*}$/);
  const { pid, via } = Object(JSON.parse(line));
  assert.equal(pid, run.pid);
  assert.equal(via, undefined);
  assert.deepEqual(await run.exited, { code: 3, signal: null });
});

test("a sidecar's heap is kept small, other commands start at once, and what the user says of the heap holds", async () => {
  const launcher = await layOut({ name: "heap", sources: true, pinned: version });
  const start = async (args: readonly string[], options = ""): Promise<Record<string, unknown>> =>
    facts(await runProcess(process.execPath, [...args], { env: { NODE_OPTIONS: options } }));
  const room = "--max-semi-space-size=16";
  const growth = "--heap-growing-percent=50";

  const { execArgv, args, via, marked } = await start([launcher, "run", "-c", "a.yaml"]);
  assert.deepEqual({ execArgv, args }, { execArgv: [room, growth], args: ["run", "-c", "a.yaml"] });
  assert.deepEqual({ via, marked }, { via: "pinned", marked: false });

  assert.deepEqual((await start([launcher, "check"])).execArgv, []);
  assert.deepEqual((await start([launcher, "run"], "--max-semi-space-size=64")).execArgv, [growth]);
  const own = ["--max-semi-space-size=1", "--heap-growing-percent=10"];
  const told = await start([...own, launcher, "run"]);
  assert.deepEqual({ execArgv: told.execArgv, via: told.via }, { execArgv: own, via: undefined });
});

test("a pinned Node that is not of the version it claims is started once", async () => {
  const launcher = await layOut({ name: "claims", sources: true, pinned: "999.0.0" });
  const run = await runProcess(process.execPath, [...AS_CHILD, launcher]);
  assert.equal(run.code, 0);
  assert.equal(facts(run).via, "pinned");
});

test("a clone runs its sources, a package without them the bundle", async () => {
  const clone = await layOut({ name: "clone", sources: true, bundle: true, pinned: version });
  const packed = await layOut({ name: "packed", bundle: true, pinned: version });
  assert.equal(facts(await runProcess(process.execPath, [clone])).form, "sources");
  assert.equal(facts(await runProcess(process.execPath, [packed])).form, "bundle");
});

test("a link to the launcher, as npm makes one for a bin, finds the package", async () => {
  const launcher = await layOut({ name: "linked", bundle: true, pinned: "0.0.1" });
  const link = join(folder, "outrigger");
  await symlink(launcher, link);
  const run = await runProcess(process.execPath, [link], { cwd: "/" });
  assert.equal(facts(run).via, "pinned");
});

test("a program that throws at its start ends with code 1", async () => {
  const launcher = await layOut({ name: "throws", sources: true, pinned: "0.0.1" });
  const run = await runProcess(process.execPath, [launcher, "throw"]);
  assert.equal(run.code, 1);
  assert.match(run.stderr, /boom/);
});

test("a new enough Node runs the program where the pinned one is missing", async () => {
  const launcher = await layOut({ name: "unpinned", sources: true });
  const run = await runProcess(process.execPath, [launcher, "exit", "4"]);
  assert.equal(facts(run).via, undefined);
  assert.equal(run.code, 4);
});

test("an old Node without the pinned one is refused with what is needed", async () => {
  const launcher = await layOut({ name: "old", sources: true });
  const old =
    "Object.defineProperty(process.versions,'node',{value:'20.20.2'});Object.defineProperty(process,'version',{value:'v20.20.2'})";
  const run = await runProcess(process.execPath, ["--import", `data:text/javascript,${old}`, launcher]);
  assert.equal(run.code, 1);
  assert.equal(run.stdout, "");
  assert.match(
    run.stderr,
    /^outrigger: needs Node 24 or newer, this is v20\.20\.2 \(.*install-scripts approve node\n$/,
  );
});

test("a home folder that cannot be written, is empty or unknown does not keep the program from starting", async () => {
  const launcher = await layOut({ name: "homeless", sources: true, pinned: version });
  for (const HOME of ["/dev/null", "", "relative"]) {
    const run = await runProcess(process.execPath, [launcher], {
      cwd: folder,
      env: { HOME, XDG_CACHE_HOME: undefined },
    });
    assert.equal(facts(run).form, "sources");
  }
  assert.ok(!(await readdir(folder)).includes(".cache"), "no cache in the working directory");

  const unknown =
    "import os from 'node:os';import m from 'node:module';os.homedir=()=>{throw new Error()};m.syncBuiltinESMExports()";
  const run = await runProcess(process.execPath, ["--import", `data:text/javascript,${unknown}`, launcher], {
    env: { XDG_CACHE_HOME: undefined },
  });
  assert.equal(facts(run).form, "sources");
});

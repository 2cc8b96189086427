#!/usr/bin/env node
// The bin. Plain JavaScript that runs on Node 18 and newer, whichever the PATH has: it goes on under the Node that
// this package pins (the npm package "node") and runs the sources in a clone, the bundle in an installed package.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import nodeModule, { createRequire } from "node:module";
import { constants, homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The oldest Node whose type stripping and built-ins the program can do with, where the pinned one is missing. */
const OLDEST = 24;
/** Set for the process that is started below, so that a pinned Node of an unexpected version cannot start itself for ever. */
const MARK = "OUTRIGGER_RELAUNCHED";
/**
 * How a sidecar keeps its heap, unless told otherwise: room for new objects that holds what some ten milliseconds of calls
 * leave, and older ones looked through when they have grown by half. V8's own choice is fit for programs that have a machine to
 * themselves: up to four times of what is alive. The size of the room cannot be changed once the process has begun.
 */
const HEAP = ["--max-semi-space-size=16", "--heap-growing-percent=50"];
const FORWARDED = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"];

const launcher = fileURLToPath(import.meta.url);
const root = dirname(dirname(launcher));
const pinned = findPinned();
const relaunched = process.env[MARK] !== undefined;
delete process.env[MARK];

const heap = process.argv[2] === "run" ? HEAP.filter((option) => !isGiven(option)) : [];

if (pinned !== undefined && !relaunched && (process.version !== `v${pinned.version}` || heap.length > 0))
  relaunch(pinned.program);
else if (Number.parseInt(process.versions.node, 10) >= OLDEST) await runHere();
else refuse();

/** The Node that this package depends on, or undefined where it is not installed (or its install script did not run). */
function findPinned() {
  try {
    const manifestPath = createRequire(launcher).resolve("node/package.json");
    const manifest = JSON.parse(readFileSync(manifestPath, "utf8"));
    const program = join(dirname(manifestPath), manifest.bin.node);
    return existsSync(program) ? { version: manifest.version, program } : undefined;
  } catch {
    return undefined;
  }
}

/** Whether whoever starts us has said this of V8. */
function isGiven(option) {
  const [name] = option.split("=");
  return [...process.execArgv, ...(process.env.NODE_OPTIONS ?? "").split(" ")].some((other) => other.startsWith(name));
}

async function runHere() {
  const sources = join(root, "src", "main.ts");
  // Compiled code is kept between starts: most of a start is compiling, and stripping types where there are sources.
  // In the user's own cache folder, for code that another user could put into a shared one would be run.
  const cache = cacheFolder();
  if (cache !== undefined) nodeModule.enableCompileCache?.(join(cache, "outrigger", "compiled"));
  await import(pathToFileURL(existsSync(sources) ? sources : join(root, "dist", "outrigger.js")).href);
}

function cacheFolder() {
  try {
    const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
    return isAbsolute(cache) ? cache : undefined;
  } catch {
    return undefined; // no HOME, and a user that the system does not know, as some clusters run containers
  }
}

/** Becomes the pinned Node where a process can do that (Node 22.15 and newer), else runs it as a child. */
function relaunch(program) {
  const args = [...heap, ...process.execArgv, launcher, ...process.argv.slice(2)];
  const env = { ...process.env, [MARK]: "1" };
  if (process.execve !== undefined && process.platform !== "win32") process.execve(program, [program, ...args], env);

  const child = spawn(program, args, { stdio: "inherit", env });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(`outrigger: cannot start ${program}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
}

function refuse() {
  process.stderr.write(
    `outrigger: needs Node ${OLDEST} or newer, this is ${process.version} (${process.execPath}), and the package "node" ` +
      "that brings the right one is not installed; npm runs its install script after: npm install-scripts approve node\n",
  );
  process.exitCode = 1;
}

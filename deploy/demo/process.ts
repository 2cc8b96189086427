import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A program of the mesh. */
export interface Program {
  readonly name: string;
  readonly pid: number;
  /** The fields of its ready line: `user ready address=…`. */
  readonly ready: ReadonlyMap<string, string>;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  /** The last lines of its log, newest last. */
  log(): readonly string[];
  /** Asks it to go, and ends it after `patience` milliseconds. */
  stop(patience?: number): Promise<void>;
}

const running = new Set<ChildProcess>();
// However this process ends, nothing that it has started is left behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Lines of a log that are kept. */
const KEPT = 200;
/** How long a program may take to be ready, in milliseconds. */
const READY_MS = 20_000;

/**
 * Starts a program and waits for its ready line on standard output. Rejects with its last words where it ends before, or says
 * nothing for long.
 *
 * @param env Added to the environment.
 */
export async function startProgram(
  name: string,
  args: readonly string[],
  input: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
  running.add(child);
  const lines: string[] = [];
  const keep = (line: string): void => {
    lines.push(line);
    if (lines.length > KEPT) lines.shift();
  };
  createInterface({ input: child.stderr }).on("line", keep);
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const ended = new Promise<void>((resolve) =>
    child.once("close", () => {
      running.delete(child);
      resolve();
    }),
  );
  const ready = await new Promise<ReadonlyMap<string, string>>((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${name} ${why}\n${lines.slice(-10).join("\n")}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`was not ready within ${READY_MS} ms`);
    }, READY_MS);
    child.once("error", (error) => fail(error.message));
    void ended.then(() => {
      clearTimeout(timer);
      fail("ended before it was ready");
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      keep(line);
      if (!/^\w+ ready /.test(line)) return;
      clearTimeout(timer);
      resolve(new Map([...line.matchAll(/(\S+?)=(\S+)/g)].map(([, key = "", value = ""]) => [key, value])));
    });
  });
  return {
    name,
    pid: child.pid ?? 0,
    ready,
    ended,
    log: () => lines,
    stop: (patience) => stop(child, ended, patience),
  };
}

async function stop(child: ChildProcess, ended: Promise<void>, patience = 5000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), patience);
  await ended;
  clearTimeout(timer);
}

import { mkdir, rename, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { runProcess } from "./process.ts";

const root = join(import.meta.dirname, "..", "..");
const RESULTS = join(root, "test", "results");

/** On what a result was had, so that figures of two runs can be compared, or not. */
export interface Environment {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
}

export function environment(): Environment {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  };
}

/** The commit of the clone, with "+" behind it where tracked files other than results were changed since; "unknown" outside of one. */
export async function commit(): Promise<string> {
  const git = async (...args: string[]) => {
    const run = await runProcess("git", args, { cwd: root });
    return run.code === 0 ? run.stdout.trim() : "unknown";
  };
  const head = await git("rev-parse", "HEAD");
  const changed = await git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!test/results");
  return head === "unknown" || changed === "" ? head : `${head}+`;
}

/** Writes `test/results/NAME.json`: when, of which commit, where, and the figures; gives the path. */
export async function saveResult(name: string, figures: object, folder = RESULTS): Promise<string> {
  if (!/^[a-z0-9-]+$/.test(name)) throw new Error(`a result's name is in kebab-case, not "${name}"`);
  const result = { name, date: new Date().toISOString(), commit: await commit(), environment: environment(), figures };
  const path = join(folder, `${name}.json`);
  await mkdir(folder, { recursive: true });
  await writeFile(`${path}.new`, `${JSON.stringify(result, null, 2)}\n`);
  await rename(`${path}.new`, path);
  return path;
}

/** How a long test is to run. */
export interface LongRun {
  /** With `--short`, as on every change: minutes become seconds, and nothing is written. */
  readonly short: boolean;
  /** `--seed N`, default 1: the same seed gives the same run. */
  readonly seed: number;
  /** Prints a line of progress, with the seconds since the start. */
  readonly say: (text: string) => void;
}

/**
 * The frame of a long test, a script `test/long/NAME.ts` that ends with
 * `await runLong("NAME", async ({ short, seed, say }) => figures)`.
 * A run at full length saves its figures; one that throws ends the process with code 1 and saves nothing. Where figures are to be seen
 * although a bar was not met, `missed` says which: they are saved, and the process ends with code 1 all the same.
 */
export async function runLong(
  name: string,
  run: (how: LongRun) => Promise<object & { readonly missed?: readonly string[] }>,
  folder = RESULTS,
): Promise<void> {
  const { values } = parseArgs({
    options: { short: { type: "boolean", default: false }, seed: { type: "string", default: "1" } },
  });
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new Error(`--seed takes a whole number, not "${values.seed}"`);
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const say = (text: string) => console.log(`[${name} ${seconds().toFixed(1).padStart(6)}s] ${text}`);
  say(`${values.short ? "short" : "full"} run, seed ${seed}`);
  try {
    const figures = await run({ short: values.short, seed, say });
    const seen = { seed, seconds: Math.round(seconds()), ...figures };
    const { missed = [] } = figures;
    say(`${missed.length === 0 ? "passed" : "missed"} ${JSON.stringify(figures)}`);
    if (missed.length > 0) process.exitCode = 1;
    if (!values.short) say(`saved ${await saveResult(name, seen, folder)}`);
  } catch (error) {
    say(`failed (again with --seed ${seed})`);
    console.error(error);
    process.exitCode = 1;
  }
}

// Tests the tests: `npm run test:mutation` breaks a copy of the tree with one patch of patches.ts after the other and expects
// the tests that the patch names to notice it. Ends with 1 where one goes unnoticed or no longer applies, and where the
// tests are red without any. `npm run test:mutation -- window` runs only the patches with that word in their name.
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { startProcess } from "../support/process.ts";
import { applied } from "./apply.ts";
import { type Patch, patches } from "./patches.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/**
 * Milliseconds for one test, so that one that waits for ever is red; for all tests of a patch, which pass in a small part of it
 * without the patch: one that leads to a loop without an end is noticed by that; for those of all patches.
 */
const TEST_LIMIT = 45_000;
const LIMIT = 120_000;
const LIMIT_OF_ALL = 600_000;
const LEFT_OUT = new Set(["node_modules", ".git", "dist", "coverage", "results"]);

/** What the tests of a patch came to. */
interface Outcome {
  readonly red: boolean;
  readonly what: string;
}

const wanted = process.argv[2] ?? "";
const chosen = patches.filter(({ name }) => name.includes(wanted));
const folder = mkdtempSync(join(tmpdir(), "outrigger-mutation-"));
let bad = 0;
try {
  // As many copies as there are processors: patches in one copy would break each other.
  const copies = Array.from({ length: Math.min(availableParallelism(), 4) }, (_, at) =>
    copyTree(join(folder, `${at}`)),
  );
  const [first = ""] = copies;
  const all = [...new Set(chosen.flatMap(({ tests }) => tests))];
  let every = await runTests(first, all, LIMIT_OF_ALL);
  if (every.red) {
    process.stdout.write(`red without any patch: ${every.what}; once more\n`);
    every = await runTests(first, all, LIMIT_OF_ALL);
  }
  if (every.red) throw new Error(`the tests are red without any patch: ${every.what}`);
  const queue = [...chosen];
  await Promise.all(
    copies.map(async (copy) => {
      for (let patch = queue.shift(); patch !== undefined; patch = queue.shift()) await check(copy, patch);
    }),
  );
  process.stdout.write(`${chosen.length - bad} of ${chosen.length} patches were noticed\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = bad === 0 ? 0 : 1;

function copyTree(to: string): string {
  cpSync(ROOT, to, { recursive: true, filter: (path) => path === ROOT || !LEFT_OUT.has(basename(path)) });
  symlinkSync(join(ROOT, "node_modules"), join(to, "node_modules"));
  return to;
}

async function check(copy: string, patch: Patch): Promise<void> {
  const path = join(copy, patch.file);
  const text = readFileSync(path, "utf8");
  const begun = performance.now();
  let outcome: Outcome;
  try {
    writeFileSync(path, applied(patch, text));
    outcome = await runTests(copy, patch.tests);
  } catch (error) {
    outcome = { red: false, what: error instanceof Error ? error.message : String(error) };
  } finally {
    writeFileSync(path, text);
  }
  if (!outcome.red) bad++;
  const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${outcome.red ? "noticed  " : "UNNOTICED"} ${seconds} s  ${patch.name}\n    ${outcome.what}\n`);
}

/** Runs tests in a copy, until one fails. They are red where one has failed or hangs, not where they could not be run at all. */
async function runTests(copy: string, patterns: readonly string[], limit = LIMIT): Promise<Outcome> {
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: copy }));
  const args = ["--test", "--test-reporter=tap", `--test-timeout=${TEST_LIMIT}`, ...files];
  // Node's test runner in this process's environment would take the child for a part of its own run.
  const env = { NODE_TEST_CONTEXT: undefined, NODE_COMPILE_CACHE: join(folder, "compiled") };
  const running = await startProcess(process.execPath, args, { cwd: copy, env });
  // Of nested tests the innermost comes first.
  const failure = running.line(/^\s*not ok \d+ - (.*)$/, limit).then(
    ([, name = ""]) => name,
    () => undefined,
  );
  const failed = await failure;
  const hangs = (await Promise.race([running.exited, setImmediate("hangs" as const)])) === "hangs";
  const exit = await running.stop();
  const output = running.stdout() + running.stderr();
  if (/SyntaxError/.test(output)) throw new Error(`it does not parse: ${output.slice(0, 500)}`);
  if (failed !== undefined) return { red: true, what: failed };
  if (exit.code === 0) return { red: false, what: `all tests in ${patterns.join(" ")} passed` };
  if (hangs) return { red: true, what: `a test hangs: ${patterns.join(" ")}` };
  throw new Error(`the tests did not run: ${output.slice(0, 500)}`);
}

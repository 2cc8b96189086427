import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Runs the tests. Files of which a test failed are run once more, alone: many tests run real processes against real clocks, and
 * a machine that is busy with something else can be too late for one of them. What passes then is told as such, what fails
 * again has failed; where many failed, nothing is repeated.
 */
const ROOT = join(import.meta.dirname, "..");
const PATTERNS = ["test/**/*.test.ts", "services/user/**/*.test.ts"];
/** More files than that have not failed by chance. */
const MOST = 8;

const folder = await mkdtemp(join(tmpdir(), "outrigger-tests-"));
const list = join(folder, "failed");
// Also for programs that tests run as other users: Node gives each user a folder of its own in it.
const compiled = join(ROOT, "node_modules", ".cache", "compiled");
await mkdir(compiled, { recursive: true });
await chmod(compiled, 0o1777);
process.exitCode = await run(PATTERNS);
const failed = (await readFile(list, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
if (process.exitCode !== 0 && failed.length > 0 && failed.length <= MOST) {
  process.stdout.write(`\nonce more, alone:\n${failed.join("\n")}\n`);
  process.exitCode = await run(failed);
  process.stdout.write(
    process.exitCode === 0 ? "\npassed at the second try; see above for the first\n" : "\nfailed twice\n",
  );
}
await rm(folder, { recursive: true });

async function run(files: readonly string[]): Promise<number> {
  const reporters = [
    "--test-reporter=spec",
    "--test-reporter-destination=stdout",
    `--test-reporter=${join(import.meta.dirname, "support", "failed-files.ts")}`,
    `--test-reporter-destination=${list}`,
  ];
  const child = spawn(process.execPath, ["--test", "--test-timeout=300000", ...reporters, ...files], {
    cwd: ROOT,
    // Each file is a process of its own, and half of a short one's time is compiling what the one before has compiled.
    env: { NODE_COMPILE_CACHE: compiled, ...process.env },
    stdio: "inherit",
  });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

import { spawnSync } from "node:child_process";
import type { Step } from "./rules.ts";

/** Runs steps one after the other; a string is why one failed, and those after it were not run. */
export function runSteps(steps: readonly Step[]): string | undefined {
  for (const { program, input, unless, mayFail } of steps) {
    if (unless !== undefined && call(unless, undefined) === undefined) continue;
    const failed = call(program, input);
    if (failed !== undefined && mayFail !== true) return failed;
  }
  return undefined;
}

/** Whether a program is there. */
export function isInstalled(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "pipe" }).error === undefined;
}

/** Steps as a shell would run them. */
export function formatSteps(steps: readonly Step[]): string {
  return steps
    .map(({ program, input, unless, mayFail }) => {
      const words = (command: readonly string[]): string => command.map(quoted).join(" ");
      const check = unless === undefined ? "" : `${words(unless)} 2>/dev/null || `;
      const text = input === undefined ? "" : ` <<'END'\n${input}END`;
      return `${check}${words(program)}${mayFail === true ? " 2>/dev/null || true" : ""}${text}\n`;
    })
    .join("");
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function call([name = "", ...args]: readonly string[], input: string | undefined): string | undefined {
  const done = spawnSync(name, args, { input: input ?? "", encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
  if (done.error !== undefined) return `cannot run ${name}: ${done.error.message}`;
  if (done.status === 0) return undefined;
  const said = done.stderr.trim().split("\n").slice(0, 5).join("\n");
  return `${name} ended with ${done.status ?? done.signal ?? "?"}: ${said}`;
}

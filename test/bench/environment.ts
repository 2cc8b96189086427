import { cpus, release, totalmem } from "node:os";
import { runProcess } from "../support/process.ts";

/** Where and of what a measurement was made. */
export interface Environment {
  readonly date: string;
  /** The commit; "+" behind it where files were changed since. */
  readonly commit: string;
  readonly processor: string;
  readonly cores: number;
  readonly memoryGB: number;
  readonly kernel: string;
  readonly go: string;
  readonly h2load: string;
  /** How busy the machine was before the start, 0 to 1. */
  readonly busyBefore: number;
}

export async function describeEnvironment(busyBefore: number, h2load: string): Promise<Environment> {
  const cwd = import.meta.dirname;
  const output = async (command: string, args: string[]) => (await runProcess(command, args, { cwd })).stdout.trim();
  const changed = await output("git", ["status", "--porcelain", "--untracked-files=no"]);
  return {
    date: new Date().toISOString(),
    commit: (await output("git", ["rev-parse", "--short=12", "HEAD"])) + (changed === "" ? "" : "+"),
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
    kernel: release(),
    go: await output("go", ["env", "GOVERSION"]),
    h2load,
    busyBefore,
  };
}

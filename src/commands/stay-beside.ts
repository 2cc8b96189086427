import { constants } from "node:os";
import { type AdminTarget, askAdmin } from "../control/admin-client.ts";
import { formatAddress } from "../core/address.ts";
import { pastEarlyEnd } from "../core/early-end.ts";
import { Child, type ExitCode } from "../runtime/child.ts";

/**
 * When the sidecar of a job is told that the job is over: however its program has ended, or only once it has succeeded, where
 * one that has failed is started again beside the same sidecar.
 */
export type DrainWhen = "ended" | "succeeded";

/** Signals that are for the program. */
const PASSED: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

/** Runs a program to its end, then has the sidecar beside it drained: a sidecar outlives its job by nothing. */
export async function stayBeside(
  program: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  when: DrainWhen,
  admin: AdminTarget,
): Promise<ExitCode> {
  const child = new Child(program, env);
  for (const signal of PASSED) process.on(signal, () => child.signal(signal));
  pastEarlyEnd();
  const code = await child.exited;
  if (child.error !== undefined) say(`cannot start ${program[0] ?? ""}: ${child.error.message}`);
  if (when === "ended" || code === 0) await drainSidecar(admin);
  return code;
}

/** Never rejects: what the job has done stands, whatever becomes of its sidecar. */
export async function drainSidecar(admin: AdminTarget): Promise<void> {
  const reply = await askAdmin(admin, "/drain", "POST").catch((error: unknown) => String(error));
  const problem =
    typeof reply === "string" ? reply.replace(/^Error: /, "") : reply.status === 202 ? undefined : reply.body;
  if (problem !== undefined) say(`the sidecar at ${formatAddress(admin.address)} was not drained: ${problem}`);
}

/** The exit code of a process that a signal has ended, as a shell says it. */
export function codeOf(signal: NodeJS.Signals): ExitCode {
  return 128 + constants.signals[signal];
}

function say(line: string): void {
  process.stderr.write(`outrigger: ${line.trim()}\n`);
}

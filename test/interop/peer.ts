import { type RunningProcess, runProcess } from "../support/process.ts";

/** A server of the tests that is running. */
export interface RunningServer {
  readonly address: string;
  stop(): Promise<unknown>;
}

export interface InteropServer {
  readonly name: string;
  /** Real parts that it needs. */
  readonly parts: readonly string[];
  /** Cases that it cannot serve, each with the reason. */
  readonly lacks: Readonly<Record<string, string>>;
  start(): Promise<RunningServer>;
}

export interface InteropClient {
  readonly name: string;
  readonly parts: readonly string[];
  readonly cases: readonly string[];
  /**
   * Runs cases against an address. What it resolves to holds of each case all that can be seen of it, which is the same where
   * the way is not to be noticed, and whether the case was passed.
   */
  run(address: string, cases: readonly string[]): Promise<Map<string, CaseResult>>;
}

export interface CaseResult {
  readonly seen: string;
  /** Why it was not passed. */
  readonly fault: string | undefined;
}

/** Milliseconds for one client to run all its cases. */
export const LIMIT = 120_000;

/** A server that says its address in a line of its output. */
export async function started(running: RunningProcess, pattern: RegExp): Promise<RunningServer> {
  const [, address = ""] = await running.line(pattern, 20_000);
  return { address, stop: () => running.stop() };
}

/** Runs a client that prints a line of JSON for each case. */
export async function runJsonLines(
  command: string,
  args: readonly string[],
  cases: readonly string[],
  faults: (name: string, seen: readonly object[]) => string | undefined,
): Promise<Map<string, CaseResult>> {
  const { stdout, stderr } = await runProcess(command, args, { timeout: LIMIT });
  const results = new Map<string, CaseResult>();
  for (const line of stdout.split("\n").filter((text) => text.startsWith("{"))) {
    const answer: { readonly case: string; readonly seen: readonly object[] } = JSON.parse(line);
    results.set(answer.case, { seen: JSON.stringify(answer.seen), fault: faults(answer.case, answer.seen) });
  }
  for (const name of cases)
    if (!results.has(name)) results.set(name, { seen: "failed", fault: stderr.trim().slice(-500) });
  return results;
}

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { parseDuration } from "../config/schema/units.ts";
import { type AdminReply, type AdminTarget, askAdmin } from "../control/admin-client.ts";
import { formatAddress, parseAddress } from "../core/address.ts";
import { stay, systemClock } from "../core/clock.ts";
import { pastEarlyEnd } from "../core/early-end.ts";
import { adminOptions, adminTarget } from "./admin-client.ts";
import { type Command, Exit, type Input, UsageError } from "./command.ts";
import { configOption } from "./config-file.ts";
import { codeOf, type DrainWhen, drainSidecar, stayBeside } from "./stay-beside.ts";

/** Milliseconds between questions. */
const EVERY = 200;
const DEFAULT_TIMEOUT = 120_000;

/**
 * The gate before an application that is started beside its sidecar: returns once the sidecar has been ready, or becomes the
 * program behind `--` then, so that an entrypoint needs one word more and no shell. Of a job it stays the parent, to tell the
 * sidecar of its end.
 */
export const waitCommand: Command = {
  summary: "waits until the sidecar beside has been ready, then becomes the program behind --",
  options: {
    probe: { value: "ADDRESS", doc: "the sidecar's probe listener; default: 127.0.0.1:15021" },
    timeout: { value: "DURATION", doc: "how long at most; default: 2m" },
    drain: {
      value: "WHEN",
      doc: "for jobs: drains the sidecar once the program has ended, or only once it has succeeded",
    },
    ...adminOptions,
    config: configOption,
  },
  program: "optional",
  async run(input) {
    const probe = parseAddress(input.value("probe") ?? "127.0.0.1:15021");
    if (typeof probe === "string") throw new UsageError(`--probe: ${probe}`);
    const patience = timeoutOf(input);
    const job = jobOf(input);
    // The first process of a container is ended by no signal that it does not listen to.
    let asked: NodeJS.Signals | undefined;
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => {
        asked = signal;
      });
    pastEarlyEnd();
    const end = systemClock.now() + patience;
    let told = "";
    for (;;) {
      const reply = await askAdmin({ address: probe }, "/startup").catch((error: unknown) => String(error));
      if (asked !== undefined) return codeOf(asked);
      if (typeof reply !== "string" && reply.status === 200)
        return job === undefined ? become(input) : stayBeside(input.program, input.env, job.when, job.admin);
      const why = typeof reply === "string" ? reply.replace(/^Error: /, "") : waitingFor(reply);
      if (why !== told) process.stderr.write(`outrigger: waiting: ${why}\n`);
      told = why;
      if (systemClock.now() >= end) {
        process.stderr.write(`outrigger: the sidecar at ${formatAddress(probe)} was not ready within ${patience} ms\n`);
        if (job?.when === "ended") await drainSidecar(job.admin);
        return Exit.FAILED;
      }
      await stay(EVERY);
    }
  },
};

interface Job {
  readonly when: DrainWhen;
  readonly admin: AdminTarget;
}

/** What is to be done when the program has ended; undefined: nothing, it is no job. */
function jobOf(input: Input): Job | undefined {
  const when = input.value("drain");
  if (when === undefined) {
    for (const option of ["config", ...Object.keys(adminOptions)])
      if (input.value(option) !== undefined) throw new UsageError(`--${option} has no effect without --drain`);
    return undefined;
  }
  if (when !== "ended" && when !== "succeeded")
    throw new UsageError(`--drain is "${when}", expected ended or succeeded`);
  if (input.program.length === 0) throw new UsageError("--drain has no effect without a program");
  return { when, admin: adminTarget(input) };
}

function timeoutOf(input: Input): number {
  const given = input.value("timeout");
  if (given === undefined) return DEFAULT_TIMEOUT;
  const parsed = parseDuration(given);
  if (parsed.kind === "problem") throw new UsageError(`--timeout: ${parsed.message}`);
  return parsed.value;
}

function waitingFor({ status, body }: AdminReply): string {
  try {
    const { waiting }: { waiting?: { what: string; detail: string }[] } = JSON.parse(body);
    if (waiting !== undefined && waiting.length > 0)
      return waiting.map(({ what, detail }) => `${what} (${detail})`).join(", ");
  } catch {
    // Not our answer.
  }
  return `/startup answered ${status}`;
}

/** Becomes the program, with its process id: it gets the signals that were meant for it. */
function become({ program, env }: Input): number {
  const [name, ...args] = program;
  if (name === undefined) return Exit.OK;
  const path = name.includes("/") ? name : inPath(name, env.PATH ?? "");
  if (path === undefined) throw new UsageError(`there is no program ${name} in PATH`);
  process.execve?.(path, [name, ...args], { ...env });
  throw new Error(`this platform cannot become ${path}`);
}

/** The first executable file of that name in the folders of PATH. */
function inPath(name: string, folders: string): string | undefined {
  return folders
    .split(delimiter)
    .map((folder) => join(folder || ".", name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

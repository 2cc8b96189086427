import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { parseDuration } from "../config/schema/units.ts";
import { formatAddress, parseAddress } from "../core/address.ts";
import { stay, systemClock } from "../core/clock.ts";
import { type AdminReply, askAdmin } from "./admin-client.ts";
import { type Command, Exit, type Input, UsageError } from "./command.ts";

/** Milliseconds between questions. */
const EVERY = 200;
const DEFAULT_TIMEOUT = 120_000;

/**
 * The gate before an application that is started beside its sidecar: returns once the sidecar has been ready, or becomes the
 * program behind `--` then, so that an entrypoint needs one word more and no shell.
 */
export const waitCommand: Command = {
  summary: "waits until the sidecar beside has been ready, then becomes the program behind --",
  options: {
    probe: { value: "ADDRESS", doc: "the sidecar's probe listener; default: 127.0.0.1:15021" },
    timeout: { value: "DURATION", doc: "how long at most; default: 2m" },
  },
  program: "optional",
  async run(input) {
    const probe = parseAddress(input.value("probe") ?? "127.0.0.1:15021");
    if (typeof probe === "string") throw new UsageError(`--probe: ${probe}`);
    const patience = timeoutOf(input);
    const end = systemClock.now() + patience;
    let told = "";
    for (;;) {
      const reply = await askAdmin(probe, "/startup").catch((error: unknown) => String(error));
      if (typeof reply !== "string" && reply.status === 200) return become(input);
      const why = typeof reply === "string" ? reply.replace(/^Error: /, "") : waitingFor(reply);
      if (why !== told) process.stderr.write(`outrigger: waiting: ${why}\n`);
      told = why;
      if (systemClock.now() >= end) {
        process.stderr.write(`outrigger: the sidecar at ${formatAddress(probe)} was not ready within ${patience} ms\n`);
        return Exit.FAILED;
      }
      await stay(EVERY);
    }
  },
};

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

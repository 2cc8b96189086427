import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { openCLibrary } from "../core/c-library.ts";

/** waitpid(2): do not wait. */
const WNOHANG = 1;
/** The children of the first process, with those that others have left to it: numbers with spaces between them. */
const CHILDREN = "/proc/1/task/1/children";

/**
 * Lets the processes go that the application has left behind and that have ended. In a container of which this sidecar is the first
 * process they become its children, and stay as zombies, each with a number that is never used again, until somebody asks how they
 * ended. Node asks for its own children only. Elsewhere the system's first process sees to it.
 *
 * `own`: the children that somebody else waits for.
 */
export async function reapOrphans(own: () => number | undefined, log: Logger): Promise<void> {
  if (process.pid !== 1 || process.platform !== "linux") return;
  const library = await openCLibrary();
  if (typeof library === "string") {
    log.warn(`processes that the application leaves behind stay as zombies: ${library}`);
    return;
  }
  const waitpid = library.func("int waitpid(int, void*, int)");
  const reap = (): void =>
    void readFile(CHILDREN, "utf8").then(
      (text) => {
        for (const pid of text.split(" ").map(Number)) if (pid > 0 && pid !== own()) waitpid(pid, null, WNOHANG);
      },
      (error: unknown) => log.debug({ err: error }, "who was left behind is not known"),
    );
  process.on("SIGCHLD", reap);
  // Some may have ended before anybody listened.
  reap();
}

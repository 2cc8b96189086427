import { readFileSync } from "node:fs";

/**
 * Files and sockets that this process may have open at once, by its soft limit (RLIMIT_NOFILE), which Node raises to the hard one as
 * it starts; undefined where there is no limit or the system does not say.
 */
export function openFilesLimit(): number | undefined {
  try {
    return softLimit(readFileSync("/proc/self/limits", "utf8"));
  } catch {
    return undefined;
  }
}

/** The soft limit of open files in the text of `/proc/PID/limits`. */
export function softLimit(limits: string): number | undefined {
  const found = /^Max open files\s+(\d+)\s/m.exec(limits);
  return found === null ? undefined : Number(found[1]);
}

import { readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { ProcessMark } from "./record.ts";

/** The mark of this process. */
export function ownMark(): ProcessMark {
  return { pid: process.pid, host: hostname(), namespace: pidNamespace() };
}

/** Whether a process is known to have ended. One of another machine or container is never known to. */
export function hasEnded(mark: ProcessMark, own: ProcessMark): boolean {
  if (mark.host !== own.host || mark.namespace !== own.namespace) return false;
  try {
    // Signal 0 is not delivered: it only asks whether the process is there.
    process.kill(mark.pid, 0);
    return false;
  } catch (error) {
    // EPERM: it is there and somebody else's.
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

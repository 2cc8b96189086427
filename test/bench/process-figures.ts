import { readdirSync, readFileSync } from "node:fs";

/** The unit of the times in /proc/PID/stat, by the kernel's promise to programs (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** A process and its descendants. */
export function processTree(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "))
    .filter((word) => word !== "");
  return [pid, ...children.flatMap((child) => processTree(Number(child)))];
}

/** User and system time in seconds, over all threads, including those that have ended. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold blanks; utime and stime are the 14th and 15th field, proc_pid_stat(5).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND;
}

/** Resident memory in MB (10^6 bytes). */
export function residentMemory(pids: readonly number[]): number {
  const kibibytes = pids.map((pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN);
  });
  return (kibibytes.reduce((sum, each) => sum + each, 0) * 1024) / 1e6;
}

/** How busy the machine's processors were since they were last asked: 0 to 1, over all of them. */
export class MachineLoad {
  #last = readTotals();

  /** The share of time that was neither idle nor waiting for a disk, since the last call or the start. */
  busy(): number {
    const before = this.#last;
    this.#last = readTotals();
    const all = this.#last.all - before.all;
    return all === 0 ? 0 : 1 - (this.#last.idle - before.idle) / all;
  }
}

function readTotals(): { readonly all: number; readonly idle: number } {
  const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
  const fields = line.trim().split(/\s+/).slice(1).map(Number);
  return { all: fields.slice(0, 8).reduce((sum, each) => sum + each, 0), idle: (fields[3] ?? 0) + (fields[4] ?? 0) };
}

import { readdir, readFile, readlink } from "node:fs/promises";

/** State LISTEN in /proc/net/tcp (include/net/tcp_states.h of Linux). */
const LISTEN = "0A";

/**
 * Which process listens on a TCP port of this machine, as `NAME (pid N)`, as far as /proc shows it: on Linux, and for
 * processes that this user may look into. For the message of a failed bind only.
 */
export async function portHolder(port: number): Promise<string | undefined> {
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await readFile(table, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state !== LISTEN || local === undefined || inode === undefined) continue;
      if (Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16) === port) inodes.add(`socket:[${inode}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const pid of await readdir("/proc").catch(() => [])) {
    if (/^[0-9]+$/.test(pid) && (await holds(pid, inodes))) {
      const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "a process");
      return `${name.trim()} (pid ${pid})`;
    }
  }
  return undefined;
}

async function holds(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  for (const fd of await readdir(folder).catch(() => [])) {
    if (inodes.has(await readlink(`${folder}/${fd}`).catch(() => ""))) return true;
  }
  return false;
}

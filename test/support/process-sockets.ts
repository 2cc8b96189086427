import { readdir, readFile, readlink } from "node:fs/promises";

/** A TCP socket of a process. */
export interface ProcessSocket {
  readonly local: string;
  readonly remote: string;
  readonly listening: boolean;
  /** The kernel asks the other side now and then whether it is still there. */
  readonly keepalive: boolean;
}

const LISTEN = "0A";
const KEEPALIVE_TIMER = "02";

/** The TCP sockets that a process holds, from /proc: those of its network namespace whose inode is one of its descriptors. */
export async function socketsOf(pid: number): Promise<ProcessSocket[]> {
  const inodes = new Set<string>();
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const sockets: ProcessSocket[] = [];
  for (const table of ["tcp", "tcp6"]) {
    const text = await readFile(`/proc/${pid}/net/${table}`, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const [, local, remote, state, , timer = "", , , , inode] = line.trim().split(/\s+/);
      if (local === undefined || remote === undefined || inode === undefined || !inodes.has(inode)) continue;
      sockets.push({
        local: readable(local),
        remote: readable(remote),
        listening: state === LISTEN,
        keepalive: timer.startsWith(KEEPALIVE_TIMER),
      });
    }
  }
  return sockets;
}

/** Whether an address of `socketsOf` is one of this machine's own. */
export function isLoopback(address: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|\[::1\]|\[::ffff:127\.\d+\.\d+\.\d+\]):\d+$/.test(address);
}

/** `0100007F:1F90` is 127.0.0.1:8080: words of 32 bits in the machine's order, which is little-endian here. */
function readable(text: string): string {
  const [host = "", port = ""] = text.split(":");
  const words = host.match(/.{8}/g) ?? [];
  const octets = words.flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((octet) => Number.parseInt(octet, 16)),
  );
  const shown = octets.length === 4 ? octets.join(".") : `[${ipv6(octets)}]`;
  return `${shown}:${Number.parseInt(port, 16)}`;
}

function ipv6(octets: readonly number[]): string {
  const mapped = octets.slice(0, 10).every((octet) => octet === 0) && octets[10] === 255 && octets[11] === 255;
  if (mapped) return `::ffff:${octets.slice(12).join(".")}`;
  if (octets.slice(0, 15).every((octet) => octet === 0))
    return octets[15] === 0 ? "::" : `::${octets[15]?.toString(16)}`;
  const pairs = octets.filter((_, at) => at % 2 === 0).map((octet, at) => octet * 256 + (octets[at * 2 + 1] ?? 0));
  return pairs.map((pair) => pair.toString(16)).join(":");
}

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type RunningProcess, startProcess } from "./process.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

/** A sidecar in a process of its own. */
export interface SidecarProcess {
  readonly process: RunningProcess;
  readonly pid: number;
  /** The fields of its ready line: `inbound`, `outbound`, `admin`, `probe`, ... */
  address(name: string): string;
  /** JSON of an admin page, or text where it is none. */
  admin(path: string): Promise<unknown>;
}

/**
 * Starts `outrigger run` with a configuration; what it leaves out of `listeners` is 127.0.0.1:0. Resolves once it is ready.
 * `openFiles`: no more than so many files and sockets may be open in it.
 */
export async function startSidecarProcess(
  config: Readonly<Record<string, unknown>>,
  nodeOptions: readonly string[] = [],
  openFiles?: number,
): Promise<SidecarProcess> {
  const loopback = "127.0.0.1:0";
  const listeners = { outbound: loopback, admin: loopback, probe: loopback };
  const all = config.service === undefined ? listeners : { ...listeners, inbound: loopback };
  const whole = { listeners: all, drain: { notice: "10ms", grace: "1s" }, ...config };
  const input = JSON.stringify(whole);
  const command = [process.execPath, ...nodeOptions, main, "run", "-c", "-"];
  const limited =
    openFiles === undefined ? command : ["sh", "-c", `ulimit -n ${openFiles}; exec "$0" "$@"`, ...command];
  const [program = "", ...args] = limited;
  return await ready(await startProcess(program, args, { input }));
}

/** Starts `outrigger run` with a file that can be changed afterwards. Resolves once it is ready. */
export async function startSidecarOf(file: string): Promise<SidecarProcess> {
  return await ready(await startProcess(process.execPath, [main, "run", "-c", file]));
}

/** Starts `outrigger run -- COMMAND`, whose standard output is that of the command. */
export function startParent(
  config: Readonly<Record<string, unknown>>,
  command: readonly string[],
): Promise<RunningProcess> {
  return startProcess(process.execPath, [main, "run", "-c", "-", "--", ...command], { input: JSON.stringify(config) });
}

async function ready(started: RunningProcess): Promise<SidecarProcess> {
  const [line] = await started.line(/^outrigger ready .*$/, 20_000).catch(async (error: unknown) => {
    // Nobody else knows of it: it would keep a test waiting that has failed.
    await started.kill();
    throw error;
  });
  const fields = new Map([...line.matchAll(/(\S+?)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value]));
  const address = (name: string): string => {
    const found = fields.get(name);
    if (found === undefined) throw new Error(`the sidecar has no ${name}: ${line}`);
    return found;
  };
  return {
    process: started,
    pid: started.pid,
    address,
    admin: async (path) => {
      const text = await (await fetch(`http://${address("admin")}${path}`)).text();
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    },
  };
}

/** Resident memory of a process, in octets. */
export async function residentMemory(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(text);
  if (found === null) throw new Error(`process ${pid} shows no resident memory`);
  return Number(found[1]) * 1024;
}

/** Node options that let `retainedMemory` look into a process. */
export const inspectable = ["--inspect=127.0.0.1:0"];

/** Octets that are still held after a full collection, in the heap and in buffers. Only of a process that is `inspectable`. */
export async function retainedMemory(sidecar: SidecarProcess): Promise<number> {
  const [, url = ""] = await sidecar.process.line(/^Debugger listening on (ws:\/\/\S+)$/);
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error(`nobody answers at ${url}`)));
  });
  const ask = (id: number, method: string): Promise<unknown> =>
    new Promise((resolve) => {
      const onMessage = ({ data }: MessageEvent): void => {
        const answer: unknown = JSON.parse(String(data));
        if (typeof answer !== "object" || answer === null || Reflect.get(answer, "id") !== id) return;
        socket.removeEventListener("message", onMessage);
        resolve(Reflect.get(answer, "result"));
      };
      socket.addEventListener("message", onMessage);
      socket.send(JSON.stringify({ id, method }));
    });
  await ask(1, "HeapProfiler.collectGarbage");
  const usage = await ask(2, "Runtime.getHeapUsage");
  socket.close();
  if (typeof usage !== "object" || usage === null) throw new Error("the process does not tell its heap");
  const field = (name: string): number => Number(Reflect.get(usage, name) ?? 0);
  return field("usedSize") + field("backingStorageSize");
}

/** Watches the resident memory of processes; tells the largest growth of each since `begin`. */
export class MemoryWatch {
  private readonly pids: readonly number[];
  private readonly before: number[] = [];
  private readonly most: number[] = [];
  private timer: NodeJS.Timeout | undefined = undefined;

  constructor(pids: readonly number[]) {
    this.pids = pids;
  }

  async begin(): Promise<void> {
    for (const [at, pid] of this.pids.entries()) {
      this.before[at] = await residentMemory(pid);
      this.most[at] = this.before[at];
    }
    // A process may end meanwhile; whoever asks for the end is told.
    this.timer = setInterval(() => void this.look().catch(() => {}), 10);
  }

  /** Stops; gives the largest growth of each process, in octets. */
  async end(): Promise<number[]> {
    clearInterval(this.timer);
    await this.look();
    return this.most.map((most, at) => most - (this.before[at] ?? 0));
  }

  private async look(): Promise<void> {
    for (const [at, pid] of this.pids.entries())
      this.most[at] = Math.max(this.most[at] ?? 0, await residentMemory(pid));
  }
}

export function mebibytes(octets: number): number {
  return Math.round((octets / 1_048_576) * 10) / 10;
}

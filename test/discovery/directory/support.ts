import { mkdtemp, readlink, rename, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectoryRecord } from "../../../src/discovery/directory/record.ts";
import type { Instance } from "../../contracts/discovery.ts";
import { FakeClock } from "../../support/clock.ts";

/** A clock whose wall time can be set, as an administrator, NTP or a machine that slept does it. */
export class SettableClock extends FakeClock {
  private shift = 0;

  override wall(): number {
    return super.wall() + this.shift;
  }

  /** Sets the wall clock forward, or back, by `ms`, without letting time pass. */
  set(ms: number): void {
    this.shift += ms;
  }
}

/** Runs a test in a folder of its own. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-directory-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The record of a healthy instance of this process, written now. */
export async function recordOf(name: string, { host, port, weight, meta }: Instance): Promise<DirectoryRecord> {
  const namespace = await readlink("/proc/self/ns/pid").catch(() => "");
  return {
    outrigger: 1,
    registration: { id: `${name}-${port}`, name, host, port, tags: [], meta: meta ?? {}, weight: weight ?? 1 },
    serving: true,
    note: "",
    process: { pid: process.pid, host: hostname(), namespace },
    heartbeat: Date.now(),
  };
}

/** Puts a file into the folder in one step, as a sidecar does. */
export async function put(folder: string, file: string, content: string | object): Promise<void> {
  const temporary = join(folder, `.${file}.1.tmp`);
  await writeFile(temporary, typeof content === "string" ? content : JSON.stringify(content));
  await rename(temporary, join(folder, file));
}

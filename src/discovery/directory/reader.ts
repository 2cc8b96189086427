import { type FSWatcher, watch } from "node:fs";
import { lstat, readdir, readFile, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Timer } from "../../core/clock.ts";
import { makeFolder } from "../../core/make-folder.ts";
import type { DiscoveryServices } from "../services.ts";
import { hasEnded, ownMark } from "./process-mark.ts";
import { type DirectoryRecord, isRecordFile, MAX_RECORD, parseRecord, STALE_AFTER } from "./record.ts";

/** What is in the folder now. */
export interface DirectoryView {
  /** The records that are believed. */
  readonly records: readonly DirectoryRecord[];
  /** Why the folder could not be read; `records` are then those that were there before. */
  readonly error: string | undefined;
}

interface Entry {
  readonly record: DirectoryRecord;
  /** What its file looked like; a file that looks the same is not read again. */
  readonly looks: string;
  /** Which of the folders that stood at the path it was last seen in. */
  folder: number;
}

/** How often the folder is read without a notice of a change, in milliseconds. */
const POLL = 2000;
/** A poll that comes later than this means that the machine slept or its time was set, in milliseconds. */
const LATE = 5000;

/**
 * Reads the records of a folder, by notices of the kernel and by a slow poll for what they miss.
 *
 * Invariants:
 * - one pass over the folder at a time; notices that come meanwhile make another pass;
 * - a record leaves when its file is removed, when it is stale, or when its process has ended; never because it or the
 *   folder cannot be read, nor because the folder was replaced by another;
 * - what is stale is removed, unless it was written again meanwhile.
 */
export class DirectoryReader {
  private readonly path: string;
  private readonly services: DiscoveryServices;
  private readonly onView: (view: DirectoryView) => void;
  private readonly own = ownMark();
  private readonly entries = new Map<string, Entry>();
  /** Files that are no good records and what they looked like, so that each is told of once. */
  private readonly skipped = new Map<string, string>();
  private readonly touched = new Set<string>();
  private wanted = true;
  private working: Promise<void> | undefined;
  private stopped = false;
  private timer: Timer | undefined;
  private watcher: FSWatcher | undefined;
  private inode = -1;
  /** Counts the folders that were watched. */
  private folder = 0;
  /** Whether records differ, beyond their heartbeats, from those last shown. */
  private changed = false;
  private polledAt: number;
  /** Wall-clock milliseconds before which no heartbeat is too old: see LATE. */
  private graceFrom = Number.NEGATIVE_INFINITY;

  constructor(path: string, services: DiscoveryServices, onView: (view: DirectoryView) => void) {
    this.path = path;
    this.services = services;
    this.onView = onView;
    this.polledAt = services.clock.wall();
    this.poll();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    this.unwatch();
    await this.working;
  }

  private poll(): void {
    const wall = this.services.clock.wall();
    if (Math.abs(wall - this.polledAt - POLL) > LATE) this.graceFrom = wall;
    this.polledAt = wall;
    this.timer = this.services.clock.setTimer(POLL, () => this.poll());
    this.wanted = true;
    this.begin();
  }

  private begin(): void {
    this.working ??= this.passes().finally(() => {
      this.working = undefined;
      // A notice between the end of the last pass and now.
      if (!this.stopped && this.hasWork()) this.begin();
    });
  }

  private hasWork(): boolean {
    return this.wanted || this.touched.size > 0;
  }

  private async passes(): Promise<void> {
    while (!this.stopped && this.hasWork()) {
      const polled = this.wanted;
      const error = await this.pass();
      if (error === undefined) await this.expire();
      if (this.stopped) return;
      if (!polled && !this.changed) continue;
      this.changed = false;
      this.onView({ records: [...this.entries.values()].map((entry) => entry.record), error });
    }
  }

  private async pass(): Promise<string | undefined> {
    const names = [...this.touched];
    this.touched.clear();
    if (!this.wanted) {
      for (const name of names) await this.readRecord(name);
      return undefined;
    }
    this.wanted = false;
    try {
      await this.readFolder();
      return undefined;
    } catch (error) {
      this.unwatch();
      return `cannot read the directory ${this.path}: ${String(error)}`;
    }
  }

  private async readFolder(): Promise<void> {
    // Only at first: a folder that was taken away comes back with the first sidecar that writes, not empty.
    if (this.folder === 0) await makeFolder(this.path, 0o700);
    const { ino } = await stat(this.path);
    if (ino !== this.inode || this.watcher === undefined) this.watchFolder(ino);
    const names = await readdir(this.path);
    for (const name of names) {
      if (isRecordFile(name)) await this.readRecord(name);
      else if (name.endsWith(".tmp")) await this.sweepTemporary(name);
    }
    const present = new Set(names);
    for (const name of [...this.entries.keys(), ...this.skipped.keys()]) if (!present.has(name)) this.forget(name);
  }

  private async readRecord(name: string): Promise<void> {
    const path = join(this.path, name);
    let looks = "";
    try {
      const info = await lstat(path);
      looks = `${info.ino} ${info.mtimeMs} ${info.size}`;
      const entry = this.entries.get(name);
      if (entry?.looks === looks) {
        entry.folder = this.folder;
        return;
      }
      if (this.skipped.get(name) === looks) return;
      // A pipe would block the reader, a link leads elsewhere.
      if (!info.isFile()) return this.skip(name, looks, "it is no regular file");
      if (info.size > MAX_RECORD) return this.skip(name, looks, "it is too large");
      const record = parseRecord(await readFile(path, "utf8"));
      // What was here before stays until it is stale: a file is half-written for a moment only.
      if (typeof record === "string") return this.skip(name, looks, record);
      this.skipped.delete(name);
      this.entries.set(name, { record, looks, folder: this.folder });
      if (entry === undefined || !isSame(entry.record, record)) this.changed = true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") this.forget(name);
      else this.skip(name, looks, String(error));
    }
  }

  private forget(name: string): void {
    this.skipped.delete(name);
    if (this.entries.get(name)?.folder !== this.folder) return;
    this.entries.delete(name);
    this.changed = true;
  }

  private skip(name: string, looks: string, why: string): void {
    if (this.skipped.get(name) === looks) return;
    this.skipped.set(name, looks);
    this.services.log.warn({ path: join(this.path, name) }, `skipped ${join(this.path, name)}: ${why}`);
  }

  private async expire(): Promise<void> {
    for (const [name, { record, looks }] of this.entries) {
      const why = this.whyStale(record);
      if (why === undefined) continue;
      this.entries.delete(name);
      this.changed = true;
      // Where it cannot be removed it is at least not read again.
      this.skipped.set(name, looks);
      this.services.log.info({ id: record.registration.id }, `removed ${record.registration.id}: ${why}`);
      const now = await this.readAgain(name);
      if (now?.heartbeat === record.heartbeat && now.process.pid === record.process.pid) {
        await rm(join(this.path, name), { force: true }).catch(() => undefined);
      } else if (now !== undefined) {
        this.touched.add(name);
      }
    }
  }

  private whyStale(record: DirectoryRecord): string | undefined {
    if (hasEnded(record.process, this.own)) return `process ${record.process.pid} has ended`;
    const wall = this.services.clock.wall();
    // A heartbeat from the future is as wrong as an old one, once time was not set just now.
    const age = Math.min(Math.abs(wall - record.heartbeat), wall - this.graceFrom);
    return age > STALE_AFTER ? `no heartbeat for ${Math.round(age / 1000)} s` : undefined;
  }

  private async readAgain(name: string): Promise<DirectoryRecord | undefined> {
    const text = await readFile(join(this.path, name), "utf8").catch(() => "");
    const record = parseRecord(text);
    return typeof record === "string" ? undefined : record;
  }

  /** A temporary file that nobody renamed in time: its writer has ended in between. */
  private async sweepTemporary(name: string): Promise<void> {
    if (!/^\..+\.json\.\d+\.tmp$/.test(name)) return;
    const path = join(this.path, name);
    const info = await lstat(path).catch(() => undefined);
    if (info?.isFile() && this.services.clock.wall() - info.mtimeMs > STALE_AFTER) {
      await rm(path, { force: true }).catch(() => undefined);
    }
  }

  private watchFolder(inode: number): void {
    this.unwatch();
    this.inode = inode;
    this.folder += 1;
    try {
      const watcher = watch(this.path, { persistent: false }, (_event, name) => {
        // Its own name: the folder itself was moved or removed.
        if (name === null || name === basename(this.path)) this.wanted = true;
        else if (isRecordFile(name)) this.touched.add(name);
        else return;
        this.begin();
      });
      // The poll notices that there is no watcher and makes another.
      watcher.on("error", () => this.unwatch());
      this.watcher = watcher;
    } catch (error) {
      // Without notices (no inotify left, say) the poll alone has to do.
      this.services.log.warn({ path: this.path, error: String(error) }, `cannot watch ${this.path}, it is polled`);
    }
  }

  private unwatch(): void {
    this.watcher?.close();
    this.watcher = undefined;
  }
}

function isSame(a: DirectoryRecord, b: DirectoryRecord): boolean {
  return a.serving === b.serving && isDeepStrictEqual(a.registration, b.registration);
}

import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Timer } from "../../core/clock.ts";
import { makeFolder } from "../../core/make-folder.ts";
import type { DiscoveryServices } from "../services.ts";
import type { Registrar, Registration } from "../source.ts";
import { ownMark } from "./process-mark.ts";
import { type DirectoryRecord, HEARTBEAT, parseRecord, recordFile } from "./record.ts";

/** How long `deregister` waits for the folder, in milliseconds. */
const DEREGISTER_WITHIN = 2000;

/** Publishes the service in a directory: one file, replaced whole at each change and each heartbeat. */
export class DirectoryRegistrar implements Registrar {
  private readonly path: string;
  private readonly services: DiscoveryServices;
  private readonly process = ownMark();
  private registration: Registration | undefined;
  private health = { serving: false, note: "the application has not answered yet" };
  private timer: Timer | undefined;
  /** Writes and the removal, one after the other. */
  private work: Promise<void> = Promise.resolve();
  private queued = false;
  private written = false;
  private troubled = false;
  private waiters: (() => void)[] = [];

  constructor(options: { readonly path: string }, services: DiscoveryServices) {
    this.path = options.path;
    this.services = services;
  }

  register(registration: Registration): Promise<void> {
    const old = this.registration;
    if (old !== undefined && old.id !== registration.id) this.enqueue(() => this.remove(old.id));
    this.registration = registration;
    const published = new Promise<void>((resolve) => this.waiters.push(resolve));
    this.publish();
    return published;
  }

  setHealth(serving: boolean, note: string): void {
    const changed = serving !== this.health.serving;
    this.health = { serving, note };
    if (changed) this.publish();
  }

  async abandon(): Promise<void> {
    this.registration = undefined;
    this.timer?.cancel();
    await this.within(this.work, DEREGISTER_WITHIN);
    this.settle();
  }

  async deregister(): Promise<void> {
    const { registration } = this;
    if (registration === undefined) return;
    this.registration = undefined;
    this.timer?.cancel();
    this.enqueue(() => this.remove(registration.id));
    await this.within(this.work, DEREGISTER_WITHIN);
    this.settle();
  }

  private publish(): void {
    this.timer?.cancel();
    if (this.registration === undefined) return;
    this.timer = this.services.clock.setTimer(HEARTBEAT * (0.8 + 0.2 * this.services.random()), () => this.publish());
    // One is enough: it takes what is the case when its turn comes, and nothing after deregister.
    if (this.queued) return;
    this.queued = true;
    this.enqueue(async () => {
      this.queued = false;
      if (this.registration !== undefined) await this.write(this.registration);
    });
  }

  private enqueue(task: () => Promise<void>): void {
    this.work = this.work.then(task).then(
      () => this.succeeded(),
      (error: unknown) => this.failed(error),
    );
  }

  private async write(registration: Registration): Promise<void> {
    const { serving, note } = this.health;
    const heartbeat = this.services.clock.wall();
    const record: DirectoryRecord = {
      outrigger: 1,
      registration,
      serving,
      note,
      process: this.process,
      heartbeat,
    };
    await makeFolder(this.path, 0o700);
    const name = recordFile(registration.id);
    const temporary = join(this.path, `.${name}.${this.process.pid}.tmp`);
    await rm(temporary, { force: true });
    // "wx": never through a link that somebody put there.
    const file = await open(temporary, "wx", 0o600);
    try {
      // As readable as the folder: a shared folder is shared on purpose. The umask has no say in chmod.
      await file.chmod(((await stat(this.path)).mode & 0o444) | 0o600);
      await file.writeFile(JSON.stringify(record));
    } finally {
      await file.close();
    }
    await rename(temporary, join(this.path, name));
    if (!this.written) {
      this.services.log.info({ id: registration.id, path: this.path }, `registered ${registration.id} in ${this.path}`);
    }
    this.written = true;
    this.settle();
  }

  /** Removes the file, unless another process has taken the id meanwhile. */
  private async remove(id: string): Promise<void> {
    const path = join(this.path, recordFile(id));
    const text = await readFile(path, "utf8").catch(() => undefined);
    const record = text === undefined ? undefined : parseRecord(text);
    if (typeof record === "object" && !isDeepStrictEqual(record.process, this.process)) return;
    await rm(path, { force: true });
    if (this.written) this.services.log.info({ id, path: this.path }, `deregistered ${id} from ${this.path}`);
    this.written = false;
  }

  private succeeded(): void {
    if (this.troubled) this.services.log.info({ path: this.path }, `the directory ${this.path} can be written again`);
    this.troubled = false;
  }

  private failed(error: unknown): void {
    if (!this.troubled) {
      this.services.log.warn({ path: this.path, error: String(error) }, `cannot write into the directory ${this.path}`);
    }
    this.troubled = true;
  }

  private settle(): void {
    for (const resolve of this.waiters.splice(0)) resolve();
  }

  private within(work: Promise<void>, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.services.clock.setTimer(ms, resolve);
      void work.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}

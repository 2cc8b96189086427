import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Clock, Timer } from "../core/clock.ts";
import { type CacheContent, readCache, writeCache } from "./cache-record.ts";
import type { CachedAnswer, EndpointSpec } from "./source.ts";

/** Older answers are no answers, in milliseconds. */
const MAX_AGE = 24 * 3600 * 1000;
/** From a change to its being written, so that changes that come together are written together, in milliseconds. */
const SOON = 500;
/** Between two writes, in milliseconds. */
const APART = 5000;
/** Until it is written that nothing has changed, in milliseconds: by its age an answer is judged after a restart. */
const LATER = 10 * 60 * 1000;
/** Until a write that failed is tried again without a change, in milliseconds. */
const RETRY = 60_000;
/** Names that are kept; of more the oldest are forgotten. */
const MAX_NAMES = 2000;
/** Larger files are not read. */
const MAX_FILE = 64 * 1024 * 1024;

/**
 * The last good answers of discovery in a file, for a start while nobody answers.
 *
 * Invariants:
 * - the file is replaced whole, has mode 0600, and is believed only where no other user could have written it;
 * - what is at the path and is no such file is neither used nor overwritten;
 * - an answer without an instance is not kept, unless it says how calls are routed: it would be no better than none.
 */
export class AnswerCache {
  private readonly path: string;
  private readonly clock: Clock;
  private readonly log: Logger;
  private readonly answers = new Map<string, CachedAnswer>();
  /** Set where the file is somebody else's. */
  private readonly isForeign: boolean;
  private timer: Timer | undefined;
  private due = Number.POSITIVE_INFINITY;
  private writtenAt = Number.NEGATIVE_INFINITY;
  private writing: Promise<void> | undefined;
  private dirty = false;
  private troubled = false;
  private closed = false;

  /** Reads the file, which takes milliseconds, once. */
  constructor(path: string, services: { readonly clock: Clock; readonly log: Logger }) {
    this.path = path;
    this.clock = services.clock;
    this.log = services.log;
    const content = readFile(path);
    this.isForeign = content.kind === "foreign";
    if (content.kind === "answers") this.load(content.answers);
    else if (content.why !== undefined) this.tellUnused(content.kind, content.why);
  }

  /** The answer of an earlier day; undefined where there is none or it is too old. */
  recall(key: string): CachedAnswer | undefined {
    const answer = this.answers.get(key);
    return answer !== undefined && this.isYoung(answer) ? answer : undefined;
  }

  /** A good answer. It is written soon where it differs, and some time later where only its time does. */
  remember(key: string, endpoints: readonly EndpointSpec[], updatedAt: number, routing?: string): void {
    const old = this.answers.get(key);
    const changed = !isDeepStrictEqual(old?.endpoints ?? [], endpoints) || old?.routing !== routing;
    const isWorthIt = endpoints.length > 0 || routing !== undefined;
    if (!isWorthIt) {
      this.answers.delete(key);
    } else {
      // Behind all others: the first ones are the oldest.
      this.answers.delete(key);
      this.answers.set(key, { endpoints, updatedAt, ...(routing === undefined ? {} : { routing }) });
      this.forgetOldest();
    }
    if (changed || isWorthIt) this.schedule(changed ? SOON : LATER);
  }

  /** Writes what is not written yet. */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    await this.writing;
    if (this.dirty) await this.write();
  }

  private load(answers: ReadonlyMap<string, CachedAnswer>): void {
    for (const [key, answer] of answers) if (this.isYoung(answer)) this.answers.set(key, answer);
    this.forgetOldest();
    const text = `${this.answers.size} answers of discovery from before are at hand in ${this.path}`;
    this.log.info({ path: this.path, names: this.answers.size, old: answers.size - this.answers.size }, text);
  }

  private isYoung({ updatedAt }: CachedAnswer): boolean {
    // A clock that was set back since makes an answer of the future, which is as good as one of the past.
    return Math.abs(this.clock.wall() - updatedAt) <= MAX_AGE;
  }

  private schedule(ms: number): void {
    if (this.isForeign || this.closed) return;
    this.dirty = true;
    const due = Math.max(this.clock.now() + ms, this.writtenAt + APART);
    if (due >= this.due) return;
    this.due = due;
    this.timer?.cancel();
    this.timer = this.clock.setTimer(due - this.clock.now(), () => {
      this.due = Number.POSITIVE_INFINITY;
      void this.write();
    });
  }

  private write(): Promise<void> {
    this.writing ??= this.replace().finally(() => {
      this.writing = undefined;
      // It failed, or something changed meanwhile.
      if (this.dirty) this.schedule(this.troubled ? RETRY : SOON);
    });
    return this.writing;
  }

  private async replace(): Promise<void> {
    this.dirty = false;
    this.writtenAt = this.clock.now();
    const temporary = `${this.path}.${process.pid}.tmp`;
    try {
      await rm(temporary, { force: true });
      // "wx": never through a link that somebody put there.
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(writeCache([...this.answers].filter(([, answer]) => this.isYoung(answer))));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.path);
      if (this.troubled) this.log.info({ path: this.path }, `the discovery cache ${this.path} can be written again`);
      this.troubled = false;
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      this.dirty = true;
      if (!this.troubled) {
        const text = `cannot write the discovery cache ${this.path}: ${error instanceof Error ? error.message : String(error)}`;
        this.log.warn({ path: this.path }, text);
      }
      this.troubled = true;
    }
  }

  private forgetOldest(): void {
    for (const key of this.answers.keys()) {
      if (this.answers.size <= MAX_NAMES) return;
      this.answers.delete(key);
    }
  }

  private tellUnused(kind: "unusable" | "foreign", why: string): void {
    const then = kind === "foreign" ? "it is left alone, and no answers are kept" : "it will be replaced";
    this.log.warn({ path: this.path }, `the discovery cache ${this.path} is not used: ${why}; ${then}`);
  }
}

/** What is at the path. Without a `why` there is nothing, which is no reason to speak. */
function readFile(path: string): CacheContent | { readonly kind: "unusable"; readonly why: undefined } {
  let file: number;
  try {
    // Non-blocking: a pipe would keep the process waiting for its writer.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return { kind: "unusable", why: undefined };
    if (code === "ELOOP") return { kind: "foreign", why: "it is a link" };
    return { kind: "foreign", why: error instanceof Error ? error.message : String(error) };
  }
  try {
    const { uid, mode, size } = fstatSync(file);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) return { kind: "foreign", why: "it is no regular file" };
    const own = process.getuid?.();
    if (own !== undefined && uid !== own && uid !== 0) return { kind: "foreign", why: "it belongs to another user" };
    if ((mode & 0o022) !== 0) return { kind: "unusable", why: "other users may write it" };
    if (size > MAX_FILE) return { kind: "foreign", why: `it has more than ${MAX_FILE} bytes` };
    return readCache(readFileSync(file, "utf8"));
  } catch (error) {
    return { kind: "foreign", why: error instanceof Error ? error.message : String(error) };
  } finally {
    closeSync(file);
  }
}

import type { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { emailKey } from "./email-key.ts";
import { integer, type Row, text, userOf } from "./sqlite-row.ts";
import { openDatabase } from "./sqlite-schema.ts";
import { prepareStatements, type SqliteStatements } from "./sqlite-statements.ts";
import type {
  ChangePage,
  DeleteResult,
  InsertResult,
  PageLimits,
  User,
  UserChange,
  UserPage,
  UserPatch,
  UserRecord,
  UserRepository,
  WriteResult,
} from "./user.ts";

/** SQLITE_BUSY: another process is writing. */
const SQLITE_BUSY = 5;
/** How long a call waits for another process that is writing, in ms, if its own deadline is not sooner. */
const BUSY_MS = 5_000;
/** How often other processes' changes are looked for while somebody listens, in ms. */
const POLL_MS = 100;
/** Deletions are forgotten in batches of this many revisions, so that forgetting costs nothing worth mentioning. */
const FORGET_EVERY = 64n;

/** Bounds of a repository in SQLite. */
export interface SqliteOptions {
  /** How many deletions are remembered for those who follow the changes. */
  readonly tombstones?: number;
}

/**
 * Users in an SQLite database: a file, which several processes may share, or ":memory:".
 *
 * node:sqlite is synchronous: while a statement runs, nothing else does and no signal can be heard. So the signal is
 * looked at before each transaction, and transactions are kept short: a page of a list, one batch of an import. What
 * waits for another process's lock waits outside SQLite, where the signal ends it.
 */
export class SqliteUserRepository implements UserRepository {
  readonly #db: DatabaseSync;
  readonly #shared: boolean;
  readonly #tombstones: bigint;
  readonly #statements: SqliteStatements;
  readonly #listeners = new Set<() => void>();
  #poll: NodeJS.Timeout | undefined;
  #dataVersion: bigint;

  /** Throws where the database cannot be opened. */
  constructor(location: string, options: SqliteOptions = {}) {
    this.#db = openDatabase(location);
    this.#shared = location !== ":memory:";
    this.#tombstones = BigInt(options.tombstones ?? 10_000);
    this.#statements = prepareStatements(this.#db);
    this.#dataVersion = this.#readDataVersion();
  }

  get(id: string, signal: AbortSignal): Promise<User | undefined> {
    return this.#run(signal, () => this.#find(id));
  }

  insert(records: readonly UserRecord[], at: Date, signal: AbortSignal): Promise<InsertResult[]> {
    return this.#write(signal, () => records.map((record) => this.#insertOne(record, at)));
  }

  update(
    id: string,
    patch: UserPatch,
    expected: bigint | undefined,
    at: Date,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    return this.#write(signal, () => {
      const old = this.#find(id);
      return old ? this.#replace(old, { ...old, ...patch }, expected, at) : { kind: "missing" };
    });
  }

  put(record: UserRecord, expected: bigint | undefined, at: Date, signal: AbortSignal): Promise<WriteResult> {
    return this.#write(signal, () => {
      const old = this.#find(record.id);
      if (old) return this.#replace(old, record, expected, at);
      if (expected !== undefined) return { kind: "missing" };
      if (this.#emailTaken(record)) return { kind: "taken", field: "email" };
      return this.#store(record, at, at);
    });
  }

  delete(id: string, expected: bigint | undefined, signal: AbortSignal): Promise<DeleteResult> {
    return this.#write(signal, () => {
      const row = this.#statements.version.get(id);
      if (row === undefined) return { kind: "missing" };
      const version = integer(row, "version");
      if (expected !== undefined && expected !== version) return { kind: "stale", version };
      const revision = this.#nextRevision();
      this.#statements.delete.run(id);
      this.#statements.bury.run(revision, id);
      if (revision % FORGET_EVERY === 0n) this.#forget();
      return { kind: "deleted" };
    });
  }

  list(after: string | undefined, limits: PageLimits, signal: AbortSignal): Promise<UserPage> {
    return this.#read(signal, () => {
      const rows = this.#statements.list.iterate(after ?? "", limits.items);
      const users = take(rows, limits, userOf, (user) => user.picture.byteLength);
      const last = users.at(-1)?.id;
      const more = last !== undefined && this.#statements.more.get(last) !== undefined;
      return { users, next: more ? last : undefined };
    });
  }

  revision(signal: AbortSignal): Promise<bigint> {
    return this.#run(signal, () => integer(this.#state(), "revision"));
  }

  changes(after: bigint, limits: PageLimits, signal: AbortSignal): Promise<ChangePage> {
    return this.#read(signal, () => {
      const state = this.#state();
      const oldest = integer(state, "horizon");
      const newest = integer(state, "revision");
      if (after < oldest || after > newest) return { kind: "outOfRange", oldest, newest };
      const rows = this.#statements.changes.iterate(after, after, limits.items);
      return { kind: "changes", changes: take(rows, limits, changeOf, pictureBytes) };
    });
  }

  onChange(listener: () => void): () => void {
    // A function of its own for each caller, so that the same listener may come twice.
    const entry = () => listener();
    this.#listeners.add(entry);
    if (this.#shared && this.#poll === undefined) {
      this.#dataVersion = this.#readDataVersion();
      this.#poll = setInterval(() => this.#lookForOthers(), POLL_MS).unref();
    }
    return () => {
      this.#listeners.delete(entry);
      if (this.#listeners.size === 0) this.#stopPolling();
    };
  }

  /** A file that is open stays within reach. */
  onReachable(): () => void {
    return () => {};
  }

  async close(): Promise<void> {
    this.#stopPolling();
    this.#listeners.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #find(id: string): User | undefined {
    const row = this.#statements.get.get(id);
    return row && userOf(row);
  }

  #insertOne(record: UserRecord, at: Date): InsertResult {
    if (this.#statements.version.get(record.id) !== undefined) return { kind: "taken", field: "id" };
    if (this.#emailTaken(record)) return { kind: "taken", field: "email" };
    return this.#store(record, at, at);
  }

  #replace(old: User, record: UserRecord, expected: bigint | undefined, at: Date): WriteResult {
    if (expected !== undefined && expected !== old.version) return { kind: "stale", version: old.version };
    if (this.#emailTaken(record)) return { kind: "taken", field: "email" };
    return this.#store(record, old.createdAt, at);
  }

  #store(record: UserRecord, createdAt: Date, updatedAt: Date): { kind: "stored"; user: User } {
    const { id, email, displayName, picture } = record;
    const version = this.#nextRevision();
    this.#statements.store.run(id, email, emailKey(email), displayName, picture, version, +createdAt, +updatedAt);
    return { kind: "stored", user: { id, email, displayName, picture, version, createdAt, updatedAt } };
  }

  #emailTaken(record: UserRecord): boolean {
    const owner = this.#statements.emailOwner.get(emailKey(record.email));
    return owner !== undefined && text(owner, "id") !== record.id;
  }

  #nextRevision(): bigint {
    return integer(this.#statements.nextRevision.get() ?? {}, "revision");
  }

  #state(): Row {
    return this.#statements.state.get() ?? {};
  }

  /** Forgets the oldest deletions beyond the limit; who follows from before them must list again. */
  #forget(): void {
    const newestForgotten = this.#statements.tombstoneAt.get(this.#tombstones);
    if (newestForgotten === undefined) return;
    const horizon = integer(newestForgotten, "revision");
    this.#statements.exhume.run(horizon);
    this.#statements.setHorizon.run(horizon);
  }

  #read<T>(signal: AbortSignal, work: () => T): Promise<T> {
    return this.#run(signal, () => this.#transaction("BEGIN", work));
  }

  async #write<T>(signal: AbortSignal, work: () => T): Promise<T> {
    const result = await this.#run(signal, () => this.#transaction("BEGIN IMMEDIATE", work));
    this.#notify();
    return result;
  }

  #transaction<T>(begin: "BEGIN" | "BEGIN IMMEDIATE", work: () => T): T {
    this.#db.exec(begin);
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  async #run<T>(signal: AbortSignal, work: () => T): Promise<T> {
    const until = performance.now() + BUSY_MS;
    for (;;) {
      signal.throwIfAborted();
      try {
        return work();
      } catch (error) {
        if (!isBusy(error) || performance.now() > until) throw error;
      }
      // Uneven steps, so that processes that wait for each other do not stay in step.
      await delay(1 + Math.random() * 9, undefined, { signal });
    }
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #lookForOthers(): void {
    const dataVersion = this.#readDataVersion();
    if (dataVersion === this.#dataVersion) return;
    this.#dataVersion = dataVersion;
    this.#notify();
  }

  /** A number that changes when another connection has committed. */
  #readDataVersion(): bigint {
    return integer(this.#statements.dataVersion.get() ?? {}, "data_version");
  }

  #stopPolling(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}

/** The rows that fit into a page; the first one always does. */
function take<T>(rows: Iterable<Row>, limits: PageLimits, of: (row: Row) => T, bytesOf: (item: T) => number): T[] {
  const items: T[] = [];
  let bytes = 0;
  for (const row of rows) {
    const item = of(row);
    items.push(item);
    bytes += bytesOf(item);
    if (bytes >= limits.bytes) break;
  }
  return items;
}

function changeOf(row: Row): UserChange {
  const revision = integer(row, "revision");
  if (row.version === null) return { kind: "deleted", revision, id: text(row, "id") };
  return { kind: "put", revision, user: userOf(row) };
}

function pictureBytes(change: UserChange): number {
  return change.kind === "put" ? change.user.picture.byteLength : 0;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && Number(error.errcode) % 256 === SQLITE_BUSY;
}

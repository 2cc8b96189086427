import { emailKey } from "./email-key.ts";
import type { Transaction } from "./postgres-connection.ts";
import { PostgresControl } from "./postgres-control.ts";
import { PostgresPool } from "./postgres-pool.ts";
import { migrate } from "./postgres-schema.ts";
import {
  advance,
  COLUMNS,
  column,
  find,
  replace,
  store,
  storeUnlessTaken,
  USER,
  userOf,
} from "./postgres-statements.ts";
import { StoreError } from "./store-error.ts";
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

/** Deletions are forgotten in batches of this many revisions, so that forgetting costs nothing worth mentioning. */
const FORGET_EVERY = 64n;
/** How many users of an import are sent without waiting for an answer. */
const BATCH = 100;

/** Bounds of a repository in PostgreSQL. */
export interface PostgresOptions {
  /** Connections at most, beside the one that watches the store; default 10. */
  readonly connections?: number;
  /** How long a call waits for a connection, in ms, if its own deadline is not sooner; default 5,000. */
  readonly waitMs?: number;
  /** Calls that may wait for a connection at once; default 1,000. */
  readonly waiting?: number;
  /** How many deletions are remembered for those who follow the changes; default 10,000. */
  readonly tombstones?: number;
}

type PutRow = User & { readonly revision: bigint };
type DeletedRow = { readonly revision: bigint; readonly id: string; readonly version: null };
/** There is one row in any case, for the state of the store. */
type NoChangeRow = { readonly revision: null };
type ChangeRow = { readonly oldest: bigint; readonly newest: bigint } & (PutRow | DeletedRow | NoChangeRow);

/**
 * Users in a PostgreSQL database, which any number of replicas share.
 *
 * - Writers take the lock of the one row in `store` before they look at anything: they come one after the other, and a
 *   revision is visible before the next one is given. Readers wait for nobody.
 * - Each read is one statement, and so sees one state of the store.
 * - A page's pictures are not read beyond its limit: their lengths are known without them.
 */
export class PostgresUserRepository implements UserRepository {
  readonly #pool: PostgresPool;
  readonly #control: PostgresControl;
  readonly #tombstones: number;
  readonly #listeners = new Set<() => void>();
  readonly #reachableListeners = new Set<(reachable: boolean) => void>();

  private constructor(url: string, options: PostgresOptions) {
    const { connections = 10, waitMs = 5_000, waiting = 1_000, tombstones = 10_000 } = options;
    this.#tombstones = tombstones;
    this.#control = new PostgresControl(url, {
      changed: () => this.#notify(),
      reachable: (reachable) => {
        if (!reachable) this.#pool.cut();
        for (const listener of this.#reachableListeners) listener(reachable);
      },
    });
    const cancel = (backend: number): Promise<void> => this.#control.cancel(backend);
    this.#pool = new PostgresPool(url, { connections, waitMs, waiting, cancel });
  }

  /** Brings the schema up to date. Rejects where the database cannot be reached, or is of a newer version. */
  static async open(url: string, options: PostgresOptions = {}): Promise<PostgresUserRepository> {
    await migrate(url);
    const repository = new PostgresUserRepository(url, options);
    await repository.#control.start();
    return repository;
  }

  async get(id: string, signal: AbortSignal): Promise<User | undefined> {
    return this.#pool.use(signal, (sql) => find(sql, id));
  }

  insert(records: readonly UserRecord[], at: Date, signal: AbortSignal): Promise<InsertResult[]> {
    return this.#write(signal, async (tx, last) => {
      let revision = last;
      const ids = await column(
        tx,
        "id",
        records.map(({ id }) => id),
      );
      const keys = await column(
        tx,
        "email_key",
        records.map(({ email }) => emailKey(email)),
      );
      const results = records.map((record): InsertResult => {
        if (ids.has(record.id)) return { kind: "taken", field: "id" };
        if (keys.has(emailKey(record.email))) return { kind: "taken", field: "email" };
        ids.add(record.id);
        keys.add(emailKey(record.email));
        revision += 1n;
        return { kind: "stored", user: userOf(record, revision, at, at) };
      });
      const users = results.flatMap((result) => (result.kind === "stored" ? [result.user] : []));
      for (let next = 0; next < users.length; next += BATCH) {
        signal.throwIfAborted();
        await Promise.all(users.slice(next, next + BATCH).map((user) => store(tx, user)));
      }
      if (revision !== last) await advance(tx, revision);
      return results;
    });
  }

  update(
    id: string,
    patch: UserPatch,
    expected: bigint | undefined,
    at: Date,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    return this.#write(signal, async (tx, revision) => {
      const old = await find(tx, id);
      return old ? replace(tx, revision, old, { ...old, ...patch }, expected, at) : { kind: "missing" };
    });
  }

  put(record: UserRecord, expected: bigint | undefined, at: Date, signal: AbortSignal): Promise<WriteResult> {
    return this.#write(signal, async (tx, revision) => {
      const old = await find(tx, record.id);
      if (old) return replace(tx, revision, old, record, expected, at);
      if (expected !== undefined) return { kind: "missing" };
      return storeUnlessTaken(tx, userOf(record, revision + 1n, at, at));
    });
  }

  delete(id: string, expected: bigint | undefined, signal: AbortSignal): Promise<DeleteResult> {
    return this.#write(signal, async (tx, last) => {
      const [row] = await tx<{ version: bigint }[]>`SELECT version FROM users WHERE id = ${id}`;
      if (row === undefined) return { kind: "missing" };
      if (expected !== undefined && expected !== row.version) return { kind: "stale", version: row.version };
      const revision = last + 1n;
      await Promise.all([
        tx`DELETE FROM users WHERE id = ${id}`,
        tx`INSERT INTO tombstones (revision, id) VALUES (${revision}, ${id})`,
        advance(tx, revision),
      ]);
      if (revision % FORGET_EVERY === 0n) await this.#forget(tx);
      return { kind: "deleted" };
    });
  }

  list(after: string | undefined, limits: PageLimits, signal: AbortSignal): Promise<UserPage> {
    return this.#pool.use(signal, async (sql) => {
      // One more than the page may have, so that it is known whether there is one.
      const rows = await sql<(User & { found: bigint })[]>`
        SELECT ${sql.unsafe(USER)}, found FROM (
          SELECT *, count(*) OVER () AS found, row_number() OVER ids AS place,
            sum(octet_length(picture)) OVER ids - octet_length(picture) AS bytes_before
          FROM (
            SELECT ${sql.unsafe(COLUMNS)} FROM users WHERE id > ${after ?? ""} ORDER BY id LIMIT ${limits.items + 1}
          ) AS candidates
          WINDOW ids AS (ORDER BY id)
        ) AS page
        WHERE place <= ${limits.items} AND bytes_before < ${limits.bytes} ORDER BY id`;
      const users = rows.map((row) => userOf(row, row.version, row.createdAt, row.updatedAt));
      const more = (rows[0]?.found ?? 0n) > BigInt(rows.length);
      return { users, next: more ? users.at(-1)?.id : undefined };
    });
  }

  revision(signal: AbortSignal): Promise<bigint> {
    return this.#pool.use(signal, async (sql) => {
      const [row] = await sql<{ revision: bigint }[]>`SELECT revision FROM store`;
      return only(row).revision;
    });
  }

  changes(after: bigint, limits: PageLimits, signal: AbortSignal): Promise<ChangePage> {
    return this.#pool.use(signal, async (sql) => {
      // Both halves come in the order of an index, so no more rows are read than are taken.
      const rows = await sql<ChangeRow[]>`
        SELECT store.horizon AS oldest, store.revision AS newest, page.revision, ${sql.unsafe(USER)}
        FROM store LEFT JOIN (
          SELECT *, sum(bytes) OVER (ORDER BY revision) - bytes AS bytes_before FROM (
            SELECT version AS revision, octet_length(picture) AS bytes, ${sql.unsafe(COLUMNS)}
            FROM users WHERE version > ${after}
            UNION ALL
            SELECT revision, 0, id, NULL, NULL, NULL, NULL, NULL, NULL FROM tombstones WHERE revision > ${after}
            ORDER BY revision LIMIT ${limits.items}
          ) AS candidates
        ) AS page ON bytes_before < ${limits.bytes}
        ORDER BY page.revision`;
      const { oldest, newest } = only(rows[0]);
      if (after < oldest || after > newest) return { kind: "outOfRange", oldest, newest };
      return { kind: "changes", changes: rows.flatMap(changesOf) };
    });
  }

  onChange(listener: () => void): () => void {
    return added(this.#listeners, () => listener());
  }

  onReachable(listener: (reachable: boolean) => void): () => void {
    return added(this.#reachableListeners, (reachable: boolean) => listener(reachable));
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#reachableListeners.clear();
    await Promise.all([this.#control.stop(), this.#pool.close()]);
  }

  /** Does some work as the only writer; it is given the revision of the last change. */
  async #write<T>(signal: AbortSignal, work: (tx: Transaction, revision: bigint) => Promise<T>): Promise<T> {
    let committing = false;
    const transaction = async (tx: Transaction): Promise<{ result: T }> => {
      const [row] = await tx<{ revision: bigint }[]>`SELECT revision FROM store FOR UPDATE`;
      const result = await work(tx, only(row).revision);
      committing = true;
      return { result };
    };
    try {
      const { result } = await this.#pool.use(signal, (sql) => sql.begin(transaction));
      this.#notify();
      return result;
    } catch (error) {
      if (!committing || !(error instanceof StoreError)) throw error;
      throw new StoreError("uncertain", "the store was lost while it committed", { cause: error });
    }
  }

  /** Forgets the oldest deletions beyond the limit; who follows from before them must list again. */
  async #forget(tx: Transaction): Promise<void> {
    await tx`
      WITH forgotten AS (
        DELETE FROM tombstones
        WHERE revision <= (SELECT revision FROM tombstones ORDER BY revision DESC LIMIT 1 OFFSET ${this.#tombstones})
        RETURNING revision
      )
      UPDATE store SET horizon = greatest(horizon, (SELECT max(revision) FROM forgotten))`;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The change in a row, if there is one. */
function changesOf(row: ChangeRow): UserChange[] {
  if (row.revision === null) return [];
  const { revision, id } = row;
  if (row.version === null) return [{ kind: "deleted", revision, id }];
  return [{ kind: "put", revision, user: userOf(row, row.version, row.createdAt, row.updatedAt) }];
}

/** The row that is always there. */
function only<T>(row: T | undefined): T {
  if (row === undefined) throw new Error("the row of the store is gone");
  return row;
}

function added<T>(set: Set<T>, entry: T): () => void {
  set.add(entry);
  return () => set.delete(entry);
}

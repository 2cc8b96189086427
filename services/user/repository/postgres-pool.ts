import { setTimeout as delay } from "node:timers/promises";
import { openClient, type Sql, storeErrorOf } from "./postgres-connection.ts";
import { StoreError } from "./store-error.ts";
import { WaitingLine } from "./waiting-line.ts";

/** How large a pool is, and how long calls wait for it. */
export interface PoolOptions {
  /** Connections at most. */
  readonly connections: number;
  /** How long a call waits for a connection, in ms, if its own deadline is not sooner. */
  readonly waitMs: number;
  /** Calls that may wait at once. */
  readonly waiting: number;
  /** Cancels what a server process is doing; resolves once it was told. */
  readonly cancel: (backend: number) => Promise<void>;
}

interface Connection {
  readonly sql: Sql;
  /** The process of the server that is at the other end. */
  readonly backend: number;
  lost: boolean;
}

/** How often a statement whose caller is gone is cancelled again, in ms: it may have been between two of them. */
const CANCEL_EVERY_MS = 100;
/** How often at most; a connection that does not come to rest by then is cut. */
const CANCELS = 30;

/**
 * Connections to PostgreSQL, each of which serves one call at a time.
 *
 * - A call has a connection to itself, so cancelling its statement can hit nobody else's.
 * - A connection is given to the next call only when the server has answered everything on it, and knows of nothing to
 *   cancel any more. One that was lost is never used again.
 * - A call waits for a connection no longer than its signal and `waitMs` say, and only `waiting` calls do.
 */
export class PostgresPool {
  readonly #url: string;
  readonly #options: PoolOptions;
  readonly #all = new Set<Connection>();
  readonly #idle: Connection[] = [];
  readonly #line = new WaitingLine<Connection>();
  #opening = 0;
  #closed = false;

  constructor(url: string, options: PoolOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** Does some work on a connection. Rejects with the signal's reason as soon as it is aborted, and cancels the work. */
  async use<T>(signal: AbortSignal, work: (sql: Sql) => Promise<T>): Promise<T> {
    const connection = await this.#acquire(signal);
    if (signal.aborted) {
      this.#release(connection);
      throw signal.reason;
    }
    const working = work(connection.sql);
    const aborted = Promise.withResolvers<never>();
    let cancelling = Promise.resolve();
    const onAbort = (): void => {
      aborted.reject(signal.reason);
      cancelling = this.#cancel(connection, working);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const release = async (): Promise<void> => {
      signal.removeEventListener("abort", onAbort);
      await cancelling;
      this.#release(connection);
    };
    void working.then(release, (error: unknown) => {
      // It may still look open, for its end is told after the failure of its statement.
      if (isLoss(error)) this.#lose(connection);
      return release();
    });
    try {
      return await Promise.race([working, aborted.promise]);
    } catch (error) {
      throw error === signal.reason ? error : storeErrorOf(error);
    }
  }

  /** Gives up all connections: the store does not answer, and who has no deadline would wait for as long as TCP does. */
  cut(): void {
    for (const connection of this.#all) this.#lose(connection);
  }

  /** Closes all connections, also those in use. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#line.dismiss(closedError());
    await Promise.all([...this.#all].map(({ sql }) => sql.end({ timeout: 0 })));
  }

  async #acquire(signal: AbortSignal): Promise<Connection> {
    const { connections, waitMs, waiting } = this.#options;
    signal.throwIfAborted();
    if (this.#closed) throw closedError();
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#line.length >= waiting) {
      throw new StoreError("busy", `all ${connections} connections are in use and ${waiting} calls wait for one`);
    }
    const given = this.#line.join(
      signal,
      waitMs,
      () => new StoreError("busy", `all ${connections} connections have been in use for ${waitMs} ms`),
    );
    this.#openAnother();
    return given;
  }

  /** Opens a connection where there may be one more and somebody waits for it. */
  #openAnother(): void {
    const open = this.#all.size + this.#opening;
    if (this.#closed || open >= this.#options.connections || this.#opening >= this.#line.length) return;
    this.#opening++;
    void this.#open().then(
      (connection) => {
        this.#opening--;
        if (!connection.lost) this.#all.add(connection);
        this.#release(connection);
      },
      (error: unknown) => {
        this.#opening--;
        // Those who wait may still get one that is in use. Where there is none, they have nothing to wait for.
        if (this.#all.size + this.#opening === 0) this.#line.dismiss(unreachable(error));
      },
    );
  }

  async #open(): Promise<Connection> {
    let connection: Connection | undefined;
    const sql = openClient(this.#url, {
      onClose: () => {
        if (connection) this.#lose(connection);
      },
    });
    try {
      const [row] = await sql<{ backend: number }[]>`SELECT pg_backend_pid() AS backend`;
      if (row === undefined) throw new Error("the server does not tell its process");
      connection = { sql, backend: row.backend, lost: false };
      return connection;
    } catch (error) {
      void sql.end({ timeout: 0 });
      throw error;
    }
  }

  #lose(connection: Connection): void {
    if (connection.lost) return;
    connection.lost = true;
    void connection.sql.end({ timeout: 0 });
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#openAnother();
  }

  #release(connection: Connection): void {
    if (this.#closed) void connection.sql.end({ timeout: 0 });
    if (this.#closed || connection.lost) return;
    if (!this.#line.give(connection)) this.#idle.push(connection);
  }

  /** Ends what the server does on a connection: resolves when it is at rest, or cut. */
  async #cancel(connection: Connection, working: Promise<unknown>): Promise<void> {
    const settled = working.then(
      () => true,
      () => true,
    );
    for (let times = 0; times < CANCELS; times++) {
      // Where the server cannot be told, there is the end of this loop.
      const told = this.#options.cancel(connection.backend).catch(() => {});
      await Promise.race([told, delay(CANCEL_EVERY_MS)]);
      if (await Promise.race([settled, delay(CANCEL_EVERY_MS, false)])) return await told;
    }
    await connection.sql.end({ timeout: 0 });
  }
}

function isLoss(error: unknown): boolean {
  const known = storeErrorOf(error);
  return known instanceof StoreError && known.kind === "unavailable";
}

function unreachable(cause: unknown): unknown {
  const error = storeErrorOf(cause);
  return error instanceof StoreError
    ? error
    : new StoreError("unavailable", "the store takes no connection", { cause: error });
}

function closedError(): Error {
  return new Error("the repository is closed");
}

import { setTimeout as delay } from "node:timers/promises";
import { openClient, type Sql } from "./postgres-connection.ts";

/** Where writers tell of their changes, also those of other replicas. */
export const CHANNEL = "user_changes";
/** How often the store is looked at, in ms. */
const LOOK_EVERY_MS = 1_000;
/** After how many ms without an answer the store is not to be reached. */
const ANSWER_MS = 4_000;

/** What the connection beside the pool finds out. */
export interface ControlEvents {
  /** Something was changed, or may have been while nobody heard of it. */
  changed(): void;
  /** Whether the store can be reached; told when it changes. */
  reachable(reachable: boolean): void;
}

/**
 * A replica's connection to PostgreSQL beside its pool: it hears of changes, looks every second whether the store is there
 * and whether a change was missed, and cancels statements. When it is lost it is made anew, for as long as it takes.
 */
export class PostgresControl {
  readonly #url: string;
  readonly #events: ControlEvents;
  readonly #over = new AbortController();
  #sql: Sql | undefined;
  #reachable = true;
  #revision: bigint | undefined;
  #watching: Promise<void> = Promise.resolve();

  constructor(url: string, events: ControlEvents) {
    this.#url = url;
    this.#events = events;
  }

  /** Resolves when it hears of changes, or has found that the store cannot be reached. */
  start(): Promise<void> {
    const started = Promise.withResolvers<void>();
    this.#watching = this.#watch(started.resolve);
    return started.promise;
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#watching;
  }

  /** Cancels what a process of the server is doing; resolves when the process was told. */
  async cancel(backend: number): Promise<void> {
    const sql = this.#sql;
    if (sql) await inTime(sql`SELECT pg_cancel_backend(${backend}::integer)`);
  }

  async #watch(started: () => void): Promise<void> {
    while (!this.#over.signal.aborted) {
      const sql = openClient(this.#url, { onNotify: () => this.#events.changed() });
      this.#sql = sql;
      try {
        await this.#listen(sql, started);
      } catch {
        this.#tell(false);
      } finally {
        this.#sql = undefined;
        await sql.end({ timeout: 0 });
        started();
      }
      await this.#pause();
    }
  }

  /** Until the store does not answer, or the control is stopped. */
  async #listen(sql: Sql, started: () => void): Promise<void> {
    await inTime(sql`LISTEN ${sql(CHANNEL)}`);
    while (!this.#over.signal.aborted) {
      const [row] = await inTime(sql<{ revision: bigint }[]>`SELECT revision FROM store`);
      this.#tell(true);
      // Also what was changed while nobody listened.
      if (row?.revision !== this.#revision) this.#events.changed();
      this.#revision = row?.revision;
      started();
      await this.#pause();
    }
  }

  #tell(reachable: boolean): void {
    if (reachable !== this.#reachable) this.#events.reachable(reachable);
    this.#reachable = reachable;
  }

  async #pause(): Promise<void> {
    await delay(LOOK_EVERY_MS, undefined, { signal: this.#over.signal }).catch(() => {});
  }
}

async function inTime<T>(answer: Promise<T>): Promise<T> {
  const over = new AbortController();
  const late = delay(ANSWER_MS, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${ANSWER_MS} ms`);
  });
  // Aborted, it rejects when nobody waits for it any more.
  late.catch(() => {});
  try {
    return await Promise.race([answer, late]);
  } finally {
    over.abort();
  }
}

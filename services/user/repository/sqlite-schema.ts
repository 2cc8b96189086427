import { DatabaseSync } from "node:sqlite";

/** Each entry brings the schema one version further; `PRAGMA user_version` counts those that were applied. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    picture BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
  ) STRICT;

  -- Deletions, for those who follow the changes.
  CREATE TABLE tombstones (revision INTEGER PRIMARY KEY, id TEXT NOT NULL) STRICT;

  -- One row: the revision of the last change, and that of the last deletion that is forgotten.
  CREATE TABLE store (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL,
    horizon INTEGER NOT NULL
  ) STRICT;
  INSERT INTO store VALUES (1, 0, 0);
  `,
];

/** How long opening waits for another process that is migrating the same file, in ms. */
const OPEN_BUSY_MS = 5_000;

/**
 * Opens a database (a file, or ":memory:") and brings its schema up to date.
 * Throws where the file cannot be opened, is no database or was written by a newer version of this program.
 */
export function openDatabase(location: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(location, { timeout: OPEN_BUSY_MS });
    // WAL: readers and the writer, also of several processes, do not wait for each other. It makes a commit
    // durable against a crash of this process; one of the machine may lose the last ones, never consistency.
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    migrate(db);
    // From now on nobody waits inside SQLite, where no signal is heard; the repository waits outside.
    db.exec("PRAGMA busy_timeout = 0");
    return db;
  } catch (cause) {
    db?.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`cannot open database ${location}: ${reason}`, { cause });
  }
}

function migrate(db: DatabaseSync): void {
  db.exec("BEGIN IMMEDIATE");
  const version = Number(db.prepare("PRAGMA user_version").get()?.user_version);
  if (version > MIGRATIONS.length) {
    throw new Error(`its schema is version ${version}, this program knows up to ${MIGRATIONS.length}`);
  }
  for (const statement of MIGRATIONS.slice(version)) db.exec(statement);
  db.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  db.exec("COMMIT");
}

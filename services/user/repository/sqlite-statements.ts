import type { DatabaseSync, StatementSync } from "node:sqlite";

const COLUMNS = "id, email, display_name, picture, version, created_ms, updated_ms";

/** The statements of an open database, prepared once. */
export type SqliteStatements = ReturnType<typeof prepareStatements>;

/** Every statement of the SQLite repository, compiled once. Integers come back as bigint. */
export function prepareStatements(db: DatabaseSync) {
  const statement = (sql: string): StatementSync => {
    const prepared = db.prepare(sql);
    prepared.setReadBigInts(true);
    return prepared;
  };
  return {
    get: statement(`SELECT ${COLUMNS} FROM users WHERE id = ?`),
    version: statement("SELECT version FROM users WHERE id = ?"),
    emailOwner: statement("SELECT id FROM users WHERE email_key = ?"),
    store: statement(
      `INSERT INTO users (id, email, email_key, display_name, picture, version, created_ms, updated_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET
         (email, email_key, display_name, picture, version, updated_ms) =
         (excluded.email, excluded.email_key, excluded.display_name, excluded.picture, excluded.version, excluded.updated_ms)`,
    ),
    delete: statement("DELETE FROM users WHERE id = ?"),
    list: statement(`SELECT ${COLUMNS} FROM users WHERE id > ? ORDER BY id LIMIT ?`),
    more: statement("SELECT 1 FROM users WHERE id > ? LIMIT 1"),
    state: statement("SELECT revision, horizon FROM store"),
    nextRevision: statement("UPDATE store SET revision = revision + 1 RETURNING revision"),
    setHorizon: statement("UPDATE store SET horizon = ?"),
    bury: statement("INSERT INTO tombstones (revision, id) VALUES (?, ?)"),
    tombstoneAt: statement("SELECT revision FROM tombstones ORDER BY revision DESC LIMIT 1 OFFSET ?"),
    exhume: statement("DELETE FROM tombstones WHERE revision <= ?"),
    // Both halves come in the order of an index, so SQLite merges them and reads no more rows than are taken.
    changes: statement(
      `SELECT version AS revision, ${COLUMNS} FROM users WHERE version > ?
       UNION ALL
       SELECT revision, id, NULL, NULL, NULL, NULL, NULL, NULL FROM tombstones WHERE revision > ?
       ORDER BY revision LIMIT ?`,
    ),
    dataVersion: statement("PRAGMA data_version"),
  };
}

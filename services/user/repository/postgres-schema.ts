import { nameOf, openClient, type Sql } from "./postgres-connection.ts";

/** Each entry brings the schema one version further; the table `schema_version` counts those that were applied. */
export const MIGRATIONS: readonly string[] = [
  `
  -- Ids are compared byte by byte, whatever the database's own order is.
  CREATE TABLE users (
    id text COLLATE "C" PRIMARY KEY,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL UNIQUE,
    display_name text NOT NULL,
    picture bytea NOT NULL,
    version bigint NOT NULL UNIQUE,
    created_at timestamptz(3) NOT NULL,
    updated_at timestamptz(3) NOT NULL
  );

  -- Deletions, for those who follow the changes.
  CREATE TABLE tombstones (revision bigint PRIMARY KEY, id text NOT NULL);

  -- One row: the revision of the last change, and that of the last deletion that is forgotten.
  CREATE TABLE store (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    revision bigint NOT NULL,
    horizon bigint NOT NULL
  );
  INSERT INTO store (revision, horizon) VALUES (0, 0);
  `,
  `
  -- Pictures are compressed already. The one row of the store changes with every write: room beside it lets PostgreSQL
  -- reuse its page instead of growing the table.
  ALTER TABLE users ALTER COLUMN picture SET STORAGE EXTERNAL;
  ALTER TABLE store SET (fillfactor = 10);
  `,
];

/** Only one process at a time migrates a database. The number is arbitrary, and must stay. */
const LOCK = 0x75736572n;

/**
 * Brings a database's schema up to date, in one transaction: all of it or nothing, however many replicas start at once.
 * Rejects where it cannot be reached or was written by a newer version of this program.
 *
 * @param migrations Those that this program knows.
 */
export async function migrate(url: string, migrations: readonly string[] = MIGRATIONS): Promise<void> {
  const sql = openClient(url);
  try {
    await apply(sql, migrations);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
    throw new Error(`cannot open database ${nameOf(url)}: ${reason}`, { cause });
  } finally {
    await sql.end({ timeout: 0 });
  }
}

async function apply(sql: Sql, migrations: readonly string[]): Promise<void> {
  await sql.begin(async (tx) => {
    // One migration may take longer than a call would wait for a lock, and the next replica waits for all of it.
    await tx`SET LOCAL lock_timeout = 0`;
    await tx`SELECT pg_advisory_xact_lock(${LOCK})`;
    await tx`CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)`;
    const [row] = await tx<{ version: number }[]>`SELECT version FROM schema_version`;
    const version = row?.version ?? 0;
    if (version > migrations.length) {
      throw new Error(`its schema is version ${version}, this program knows up to ${migrations.length}`);
    }
    if (version === migrations.length) return;
    for (const statements of migrations.slice(version)) await tx.unsafe(statements);
    await tx`DELETE FROM schema_version`;
    await tx`INSERT INTO schema_version (version) VALUES (${migrations.length})`;
  });
}

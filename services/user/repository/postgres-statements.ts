import { emailKey } from "./email-key.ts";
import type { Sql, Transaction } from "./postgres-connection.ts";
import { CHANNEL } from "./postgres-control.ts";
import type { User, UserRecord, WriteResult } from "./user.ts";

/** The columns of a user. */
export const COLUMNS = "id, email, display_name, picture, version, created_at, updated_at";
/** The same, as `User` has them. */
export const USER = `id, email, display_name AS "displayName", picture, version,
  created_at AS "createdAt", updated_at AS "updatedAt"`;

/** The user with an id. */
export async function find(sql: Sql | Transaction, id: string): Promise<User | undefined> {
  const [user] = await sql<User[]>`SELECT ${sql.unsafe(USER)} FROM users WHERE id = ${id}`;
  return user;
}

/** Those of some values that are in a column already. */
export async function column(
  tx: Transaction,
  name: "id" | "email_key",
  values: readonly string[],
): Promise<Set<string>> {
  const rows = await tx<{ value: string }[]>`
    SELECT ${tx(name)} AS value FROM users WHERE ${tx(name)} IN (SELECT jsonb_array_elements_text(${tx.json([...values])}))`;
  return new Set(rows.map(({ value }) => value));
}

/** Makes another user of one that is there, if it is at the version that is expected. */
export async function replace(
  tx: Transaction,
  revision: bigint,
  old: User,
  record: UserRecord,
  expected: bigint | undefined,
  at: Date,
): Promise<WriteResult> {
  if (expected !== undefined && expected !== old.version) return { kind: "stale", version: old.version };
  return storeUnlessTaken(tx, userOf(record, revision + 1n, old.createdAt, at));
}

/** Stores a user as the last change, unless its address is another one's. */
export async function storeUnlessTaken(tx: Transaction, user: User): Promise<WriteResult> {
  const [owner] = await tx`SELECT 1 FROM users WHERE email_key = ${emailKey(user.email)} AND id <> ${user.id}`;
  if (owner !== undefined) return { kind: "taken", field: "email" };
  await Promise.all([store(tx, user), advance(tx, user.version)]);
  return { kind: "stored", user };
}

/** Writes a user as it is. */
export async function store(tx: Transaction, user: User): Promise<void> {
  const { id, email, displayName, picture, version, createdAt, updatedAt } = user;
  await tx`
    INSERT INTO users (id, email, email_key, display_name, picture, version, created_at, updated_at)
    VALUES (${id}, ${email}, ${emailKey(email)}, ${displayName}, ${picture}, ${version}, ${createdAt}, ${updatedAt})
    ON CONFLICT (id) DO UPDATE SET
      (email, email_key, display_name, picture, version, updated_at) =
      (excluded.email, excluded.email_key, excluded.display_name, excluded.picture, excluded.version, excluded.updated_at)`;
}

/** Makes a revision the last one, and has every replica hear of it after the commit. */
export async function advance(tx: Transaction, revision: bigint): Promise<void> {
  await Promise.all([tx`UPDATE store SET revision = ${revision}`, tx`SELECT pg_notify(${CHANNEL}, '')`]);
}

/** A user at a version. */
export function userOf(
  { id, email, displayName, picture }: UserRecord,
  version: bigint,
  createdAt: Date,
  updatedAt: Date,
): User {
  return { id, email, displayName, picture, version, createdAt, updatedAt };
}

import { PostgresUserRepository } from "./postgres.ts";
import { SqliteUserRepository } from "./sqlite.ts";
import type { UserRepository } from "./user.ts";

/** What of a repository can be set, whatever keeps it. */
export interface OpenOptions {
  /** Connections to a database server at most; where there is none it is without effect. */
  readonly connections?: number;
}

/**
 * The store that a connection string means: ":memory:", a path or "sqlite:PATH" is SQLite, "postgres://..." PostgreSQL.
 * Rejects for a store that is not known or cannot be opened.
 */
export async function openRepository(database: string, options: OpenOptions = {}): Promise<UserRepository> {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(database)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return new SqliteUserRepository(database);
    case "sqlite":
      return new SqliteUserRepository(database.slice("sqlite:".length));
    case "postgres":
    case "postgresql":
      return PostgresUserRepository.open(database, options);
    default:
      throw new Error(
        `no store is known for "${scheme}:", expected :memory:, a path, sqlite:PATH or postgres://USER@HOST:PORT/NAME`,
      );
  }
}

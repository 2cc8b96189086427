import { SqliteUserRepository } from "./sqlite.ts";
import type { UserRepository } from "./user.ts";

/**
 * The store that a connection string means: ":memory:", a path or "sqlite:PATH" is SQLite.
 * Rejects for a store that is not known or cannot be opened.
 */
export async function openRepository(database: string): Promise<UserRepository> {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(database)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return new SqliteUserRepository(database);
    case "sqlite":
      return new SqliteUserRepository(database.slice("sqlite:".length));
    default:
      throw new Error(`no store is known for "${scheme}:", expected :memory:, a path or sqlite:PATH`);
  }
}

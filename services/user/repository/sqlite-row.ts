import type { SQLOutputValue } from "node:sqlite";
import type { User } from "./user.ts";

/** A row as node:sqlite returns it with `setReadBigInts`. */
export type Row = Readonly<Record<string, SQLOutputValue>>;

/** The user in a row of `users`. Throws where a column is absent or of another type: the schema is not ours. */
export function userOf(row: Row): User {
  return {
    id: text(row, "id"),
    email: text(row, "email"),
    displayName: text(row, "display_name"),
    picture: bytes(row, "picture"),
    version: integer(row, "version"),
    createdAt: new Date(Number(integer(row, "created_ms"))),
    updatedAt: new Date(Number(integer(row, "updated_ms"))),
  };
}

/** A column that holds a text. Throws where it does not: the file is not ours, or damaged. */
export function text(row: Row, column: string): string {
  const value = row[column];
  return typeof value === "string" ? value : wrong(column, "text", value);
}

/** A column that holds an integer. Throws where it does not. */
export function integer(row: Row, column: string): bigint {
  const value = row[column];
  return typeof value === "bigint" ? value : wrong(column, "an integer", value);
}

function bytes(row: Row, column: string): Uint8Array {
  const value = row[column];
  return value instanceof Uint8Array ? value : wrong(column, "a blob", value);
}

function wrong(column: string, expected: string, value: unknown): never {
  throw new Error(`column ${column} is not ${expected} but ${value === null ? "null" : typeof value}`);
}

import postgres from "postgres";

/** Statements of a test's own, from somebody who is no user service. */
export type Admin = postgres.Sql;

export function adminOf(url: string): Admin {
  return postgres(url, { max: 2, onnotice: () => {}, connection: { application_name: "test" } });
}

let databases = 0;

/** A new, empty database on the server of a connection string; resolves to its own connection string. */
export async function createDatabase(server: string): Promise<string> {
  const name = `test_${process.pid}_${databases++}`;
  const sql = adminOf(server);
  try {
    await sql`CREATE DATABASE ${sql(name)}`;
  } finally {
    await sql.end();
  }
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** What the user service has the server do on this database right now. */
export async function running(sql: Admin): Promise<string[]> {
  const rows = await sql<{ query: string }[]>`
    SELECT query FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'user-service' AND state <> 'idle'`;
  return rows.map(({ query }) => query);
}

/** How many connections the user service has to this database. */
export async function connections(sql: Admin): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    SELECT count(*)::integer AS count FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'user-service'`;
  return row?.count ?? 0;
}

/** Takes all users for itself: whoever wants to read or write one waits until it is let go. */
export async function lockUsers(sql: Admin): Promise<{ letGo(): Promise<void> }> {
  const locked = Promise.withResolvers<void>();
  const over = Promise.withResolvers<void>();
  const holding = sql.begin(async (tx) => {
    await tx`LOCK TABLE users IN ACCESS EXCLUSIVE MODE`;
    locked.resolve();
    await over.promise;
  });
  await Promise.race([locked.promise, holding]);
  return {
    letGo: async () => {
      over.resolve();
      await holding;
    },
  };
}

/** Waits, at most 10 seconds, until something is so. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { freePort } from "../../../../test/support/ports.ts";
import { Postgres } from "../../../../test/support/postgres.ts";
import { skipUnless } from "../../../../test/support/real-parts.ts";
import { openRepository } from "../../repository/open.ts";
import { MIGRATIONS, migrate } from "../../repository/postgres-schema.ts";
import { record } from "../repository-contract.ts";
import { type Admin, adminOf, createDatabase } from "../support/database.ts";
import { never } from "../support/signals.ts";

const AT = new Date("2030-01-02T03:04:05.678Z");
const NEXT = "ALTER TABLE users ADD COLUMN note text NOT NULL DEFAULT 'none'";

describe("the schema in PostgreSQL", skipUnless("postgres", "initdb"), () => {
  let server: Postgres;
  let url = "";
  let admin: Admin;

  before(async () => {
    server = await Postgres.start();
  });
  after(async () => {
    await admin.end();
    await server.stop();
  });
  beforeEach(async () => {
    await admin?.end();
    url = await createDatabase(server.url());
    admin = adminOf(url);
  });

  async function version(): Promise<unknown[]> {
    return [...(await admin`SELECT version FROM schema_version`.values())];
  }

  for (let old = 1; old < MIGRATIONS.length; old++) {
    it(`is brought up to date from version ${old}, with the users that are there`, async () => {
      await migrate(url, MIGRATIONS.slice(0, old));
      assert.deepEqual(await version(), [[old]]);
      await admin`INSERT INTO users VALUES ('ann', 'Ann@x.org', 'ann@x.org', 'Ann', ${Buffer.of(1, 2)}, 1, ${AT}, ${AT})`;
      await admin`UPDATE store SET revision = 1`;
      const repository = await openRepository(url);
      const ann = await repository.get("ann", never);
      assert.deepEqual([ann?.email, ann?.version, ann?.createdAt], ["Ann@x.org", 1n, AT]);
      const [bob] = await repository.insert([record("bob")], AT, never);
      assert.equal(bob?.kind === "stored" && bob.user.version, 2n);
      await repository.close();
      assert.deepEqual(await version(), [[MIGRATIONS.length]]);
    });
  }

  it("serves a replica of this version while one of the next has migrated it", async () => {
    const old = await openRepository(url);
    await old.insert([record("ann")], AT, never);
    assert.equal((await old.get("ann", never))?.id, "ann");
    await migrate(url, [...MIGRATIONS, NEXT]);
    assert.equal((await old.get("ann", never))?.id, "ann");
    assert.equal((await old.list(undefined, { items: 9, bytes: 9 }, never)).users.length, 1);
    assert.equal((await old.changes(0n, { items: 9, bytes: 9 }, never)).kind, "changes");
    await old.insert([record("bob")], AT, never);
    await old.close();
  });

  it("is migrated once, whoever of many replicas starts first", async () => {
    await Promise.all(Array.from({ length: 8 }, () => migrate(url)));
    assert.deepEqual(await version(), [[MIGRATIONS.length]]);
    await Promise.all(Array.from({ length: 8 }, () => migrate(url, [...MIGRATIONS, NEXT])));
    assert.deepEqual(await version(), [[MIGRATIONS.length + 1]]);
  });

  it("is left as it was where a migration fails", async () => {
    await migrate(url);
    const broken = [...MIGRATIONS, NEXT, "ALTER TABLE nobody ADD COLUMN note text"];
    await assert.rejects(migrate(url, broken), /cannot open database .*: relation "nobody" does not exist/);
    assert.deepEqual(await version(), [[MIGRATIONS.length]]);
    const columns = await admin`SELECT 1 FROM information_schema.columns WHERE column_name = 'note'`;
    assert.equal(columns.length, 0);
  });

  it("of a newer version is refused, naming both", async () => {
    await migrate(url, [...MIGRATIONS, NEXT]);
    const message = `its schema is version ${MIGRATIONS.length + 1}, this program knows up to ${MIGRATIONS.length}`;
    await assert.rejects(openRepository(url), { message: `cannot open database ${url}: ${message}` });
  });

  it("is that of the first of several hosts that takes connections", async () => {
    const several = url.replace("127.0.0.1:", `127.0.0.1:${await freePort()},127.0.0.1:`);
    const repository = await openRepository(several);
    assert.equal(await repository.revision(never), 0n);
    await repository.close();
  });

  it("cannot be looked at where nobody answers, or no such database is, which is told without the password", async () => {
    const port = await freePort();
    const nobody = `postgres://me:sec%2Fret@127.0.0.1:${port}/users?sslmode=require`;
    await assert.rejects(openRepository(nobody), {
      message: `cannot open database postgres://me@127.0.0.1:${port}/users: connect ECONNREFUSED 127.0.0.1:${port}`,
    });
    const missing = server.url("missing");
    await assert.rejects(openRepository(missing), {
      message: `cannot open database ${missing}: database "missing" does not exist`,
    });
  });
});

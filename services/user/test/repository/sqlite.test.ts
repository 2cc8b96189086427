import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { openRepository } from "../../repository/open.ts";
import { SqliteUserRepository } from "../../repository/sqlite.ts";
import { record, repositoryContract } from "../repository-contract.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { never } from "../support/signals.ts";

const AT = new Date("2030-01-02T03:04:05.678Z");
const PAGE = { items: 100, bytes: 1_000_000 };

let folder = "";
let files = 0;
const newFile = () => join(folder, `users-${files++}.db`);

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "users-"));
});
after(() => rm(folder, { recursive: true }));

repositoryContract("SQLite in memory", { open: async () => new SqliteUserRepository(":memory:") });
repositoryContract("SQLite in a file", { open: async () => new SqliteUserRepository(newFile()) });
// The fake that unit tests run on is held to the same, or they would prove nothing.
repositoryContract("the fake of the tests", { open: async () => new FakeUserRepository() });

describe("users in an SQLite file", () => {
  it("are there when the file is opened again, and the revision goes on", async () => {
    const file = newFile();
    const first = await openRepository(file);
    await first.insert([record("ann")], AT, never);
    await first.close();
    const second = await openRepository(`sqlite:${file}`);
    assert.equal((await second.get("ann", never))?.email, "ann@x.org");
    const [bob] = await second.insert([record("bob")], AT, never);
    assert.ok(bob?.kind === "stored");
    assert.equal(bob.user.version, 2n);
    await second.close();
  });

  it("are shared by several repositories, which hear of each other's changes", async () => {
    const file = newFile();
    const [one, two] = [new SqliteUserRepository(file), new SqliteUserRepository(file)];
    const heard = Promise.withResolvers<void>();
    const stop = two.onChange(() => heard.resolve());
    await one.insert([record("ann")], AT, never);
    await heard.promise;
    assert.equal((await two.get("ann", never))?.id, "ann");
    stop();
    await Promise.all([one.close(), two.close()]);
  });

  it("are not lost or doubled when several repositories write at once", async () => {
    const file = newFile();
    const repositories = Array.from({ length: 4 }, () => new SqliteUserRepository(file));
    await Promise.all(
      repositories.flatMap((repository, r) =>
        Array.from({ length: 25 }, (_, n) => repository.insert([record(`user-${r}-${n}`)], AT, never)),
      ),
    );
    assert.equal(await repositories[0]?.revision(never), 100n);
    for (const repository of repositories) await repository.close();
  });

  it("wait for another process that is writing, until it is done", async () => {
    const file = newFile();
    const repository = new SqliteUserRepository(file);
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    const inserting = repository.insert([record("ann")], AT, never);
    setTimeout(() => other.exec("COMMIT"), 30);
    assert.equal((await inserting)[0]?.kind, "stored");
    other.close();
    await repository.close();
  });

  it("do not wait for another process that is writing once the caller is gone", async () => {
    const file = newFile();
    const repository = new SqliteUserRepository(file);
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    const caller = new AbortController();
    const inserting = repository.insert([record("ann")], AT, caller.signal);
    setTimeout(() => caller.abort(), 30);
    await assert.rejects(inserting, { name: "AbortError" });
    other.exec("ROLLBACK");
    other.close();
    assert.equal(await repository.revision(never), 0n);
    await repository.close();
  });

  it("refuse a file of a newer schema, naming both versions", async () => {
    const file = newFile();
    const newer = new DatabaseSync(file);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    assert.throws(() => new SqliteUserRepository(file), {
      message: `cannot open database ${file}: its schema is version 99, this program knows up to 1`,
    });
  });

  it("refuse a file that is no database, and a folder that is not there, naming them", async () => {
    const file = newFile();
    await writeFile(file, "this is no database, but a text that is long enough to be looked at as one");
    assert.throws(() => new SqliteUserRepository(file), {
      message: `cannot open database ${file}: file is not a database`,
    });
    const nowhere = join(folder, "nowhere", "users.db");
    assert.throws(
      () => new SqliteUserRepository(nowhere),
      /cannot open database .*nowhere.*: unable to open database file/,
    );
  });
});

describe("deletions in SQLite", () => {
  it("are forgotten beyond their limit, and who follows from before them is told so", async () => {
    const repository = new SqliteUserRepository(":memory:", { tombstones: 10 });
    for (let n = 0; n < 64; n++) {
      await repository.insert([record(`user-${n}`)], AT, never);
      await repository.delete(`user-${n}`, undefined, never);
    }
    // The last time that forgetting came about was at revision 128: deletions were 2, 4, 6 ... 128.
    const horizon = 108n;
    assert.deepEqual(await repository.changes(0n, PAGE, never), { kind: "outOfRange", oldest: horizon, newest: 128n });
    assert.equal((await repository.changes(horizon - 1n, PAGE, never)).kind, "outOfRange");
    const rest = await repository.changes(horizon, PAGE, never);
    assert.ok(rest.kind === "changes");
    assert.equal(rest.changes.length, 10);
    await repository.close();
  });
});

describe("a connection string", () => {
  it("of a store that is not known is refused", async () => {
    await assert.rejects(openRepository("mysql://db/users"), {
      message:
        'no store is known for "mysql:", expected :memory:, a path, sqlite:PATH or postgres://USER@HOST:PORT/NAME',
    });
  });
});

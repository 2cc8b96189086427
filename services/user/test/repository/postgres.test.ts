import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it, type TestContext } from "node:test";
import { Postgres } from "../../../../test/support/postgres.ts";
import { skipUnless } from "../../../../test/support/real-parts.ts";
import { openRepository } from "../../repository/open.ts";
import { type PostgresOptions, PostgresUserRepository } from "../../repository/postgres.ts";
import { StoreError } from "../../repository/store-error.ts";
import { record, repositoryContract } from "../repository-contract.ts";
import {
  type Admin,
  adminOf,
  connections,
  createDatabase,
  eventually,
  lockUsers,
  running,
} from "../support/database.ts";
import { never } from "../support/signals.ts";

const AT = new Date("2030-01-02T03:04:05.678Z");
const PAGE = { items: 1_000, bytes: 1_000_000 };

describe("users in PostgreSQL", skipUnless("postgres", "initdb"), () => {
  let server: Postgres;
  let url = "";
  let admin: Admin;

  before(async () => {
    server = await Postgres.start();
  });
  after(() => server.stop());

  repositoryContract("PostgreSQL", {
    open: async () => openRepository(await createDatabase(server.url()), { connections: 4 }),
  });

  beforeEach(async () => {
    url = await createDatabase(server.url());
  });

  async function open(t: TestContext, options: PostgresOptions = {}): Promise<PostgresUserRepository> {
    const repository = await PostgresUserRepository.open(url, options);
    t.after(() => repository.close());
    return repository;
  }

  function watchServer(t: TestContext): void {
    admin = adminOf(url);
    t.after(() => admin.end());
  }

  it("are there when the database is opened again, and the revision goes on", async () => {
    const first = await openRepository(url);
    await first.insert([record("ann")], AT, never);
    await first.close();
    const second = await openRepository(url.replace("postgres:", "postgresql:"));
    assert.equal((await second.get("ann", never))?.email, "ann@x.org");
    const [bob] = await second.insert([record("bob")], AT, never);
    assert.equal(bob?.kind === "stored" && bob.user.version, 2n);
    await second.close();
  });

  it("are not lost or doubled when several replicas write at once, and each of them tells all, in order", async (t) => {
    const replicas = [await open(t), await open(t), await open(t)];
    const followed = replicas.map(async (replica) => {
      const seen: bigint[] = [];
      let wake = () => {};
      const stop = replica.onChange(() => wake());
      while (seen.length < 90) {
        const heard = new Promise<void>((resolve) => (wake = resolve));
        const page = await replica.changes(seen.at(-1) ?? 0n, PAGE, never);
        assert.ok(page.kind === "changes");
        seen.push(...page.changes.map(({ revision }) => revision));
        if (page.changes.length === 0) await heard;
      }
      stop();
      return seen;
    });
    await Promise.all(
      replicas.flatMap((replica, r) =>
        Array.from({ length: 30 }, (_, n) => replica.insert([record(`user-${r}-${n}`)], AT, never)),
      ),
    );
    // A revision that became visible after a later one would be missed by whoever has read that one.
    const all = Array.from({ length: 90 }, (_, n) => BigInt(n + 1));
    for (const seen of await Promise.all(followed)) assert.deepEqual(seen, all);
  });

  it("are imported in thousands in one transaction", async (t) => {
    const repository = await open(t);
    const records = Array.from({ length: 2_000 }, (_, n) => record(`user-${n}`));
    const results = await repository.insert([...records, record("user-7")], AT, never);
    assert.equal(results.filter(({ kind }) => kind === "stored").length, 2_000);
    assert.equal(await repository.revision(never), 2_000n);
  });

  it("have their deletions forgotten beyond a limit, and who follows from before them is told so", async (t) => {
    const repository = await open(t, { tombstones: 10 });
    for (let n = 0; n < 64; n++) {
      await repository.insert([record(`user-${n}`)], AT, never);
      await repository.delete(`user-${n}`, undefined, never);
    }
    // The last time that forgetting came about was at revision 128: deletions were 2, 4, 6 ... 128.
    const horizon = 108n;
    assert.deepEqual(await repository.changes(0n, PAGE, never), { kind: "outOfRange", oldest: horizon, newest: 128n });
    const rest = await repository.changes(horizon, PAGE, never);
    assert.equal(rest.kind === "changes" && rest.changes.length, 10);
  });

  it("are read over no more connections than the limit says, however many call", async (t) => {
    watchServer(t);
    const repository = await open(t, { connections: 3 });
    let most = 0;
    let over = false;
    const watching = (async () => {
      while (!over) most = Math.max(most, await connections(admin));
    })();
    await Promise.all(Array.from({ length: 500 }, (_, n) => repository.get(`user-${n}`, never)));
    over = true;
    await watching;
    // One more watches the store.
    assert.ok(most >= 3 && most <= 4, `${most} connections`);
  });

  it("are no longer looked for by the server when the caller is gone, and the connection serves the next call", async (t) => {
    watchServer(t);
    const repository = await open(t, { connections: 1 });
    await repository.insert([record("ann")], AT, never);
    const lock = await lockUsers(admin);
    const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => repository.get("ann", signal),
      (signal) => repository.list(undefined, PAGE, signal),
      (signal) => repository.changes(0n, PAGE, signal),
      (signal) => repository.insert([record("bob")], AT, signal),
      (signal) => repository.update("ann", { displayName: "Anna" }, undefined, AT, signal),
      (signal) => repository.put(record("cid"), undefined, AT, signal),
      (signal) => repository.delete("ann", undefined, signal),
    ];
    for (const call of calls) {
      const caller = new AbortController();
      const calling = call(caller.signal);
      await eventually("the server waits for the lock", async () => (await running(admin)).length === 1);
      const reason = new Error("the caller is gone");
      caller.abort(reason);
      await assert.rejects(calling, reason);
      await eventually("the server waits no more", async () => (await running(admin)).length === 0);
    }
    await lock.letGo();
    const found = await repository.get("ann", never);
    assert.equal(found?.displayName, "Name of ann");
    assert.equal(await repository.revision(never), 1n);
    assert.equal(await connections(admin), 2);
  });

  it("are none of them stored when the caller of an import is gone in the middle of it", async (t) => {
    watchServer(t);
    const repository = await open(t);
    const stuck = Promise.withResolvers<void>();
    // Somebody else is about to store one of them, so that the import waits there.
    const other = admin.begin(async (tx) => {
      await tx`INSERT INTO users VALUES ('user-300', 'a', 'a', 'a', '', 77, now(), now())`;
      await stuck.promise;
    });
    await eventually("the other one has stored its user", async () => (await admin`SELECT 1`).length === 1);
    const caller = new AbortController();
    const records = Array.from({ length: 500 }, (_, n) => record(`user-${n}`));
    const importing = repository.insert(records, AT, caller.signal);
    await eventually("the import waits", async () => (await running(admin)).some((query) => query.includes("INSERT")));
    const reason = new Error("gone");
    caller.abort(reason);
    await assert.rejects(importing, reason);
    await eventually("the server waits no more", async () => (await running(admin)).length === 0);
    stuck.resolve();
    await other;
    const { users } = await repository.list(undefined, PAGE, never);
    assert.deepEqual(
      users.map(({ id }) => id),
      ["user-300"],
    );
    assert.equal(await repository.revision(never), 0n);
  });

  it("are waited for no longer than the caller's signal says where all connections are in use", async (t) => {
    watchServer(t);
    const repository = await open(t, { connections: 1 });
    await repository.insert([record("ann")], AT, never);
    const lock = await lockUsers(admin);
    const first = repository.get("ann", never);
    const reason = new Error("deadline exceeded");
    await assert.rejects(repository.get("ann", AbortSignal.any([never, abortedIn(50, reason)])), reason);
    await lock.letGo();
    assert.equal((await first)?.id, "ann");
  });

  it("are refused as busy, with the numbers, where no connection comes free or too many wait", async (t) => {
    watchServer(t);
    const repository = await open(t, { connections: 1, waitMs: 200, waiting: 1 });
    await repository.insert([record("ann")], AT, never);
    const lock = await lockUsers(admin);
    const first = repository.get("ann", never);
    const second = repository.get("ann", never);
    await assert.rejects(repository.get("ann", never), busy("all 1 connections are in use and 1 calls wait for one"));
    await assert.rejects(second, busy("all 1 connections have been in use for 200 ms"));
    await lock.letGo();
    assert.equal((await first)?.id, "ann");
    assert.equal((await repository.get("ann", never))?.id, "ann");
  });
});

function abortedIn(ms: number, reason: Error): AbortSignal {
  const caller = new AbortController();
  setTimeout(() => caller.abort(reason), ms);
  return caller.signal;
}

function busy(message: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoreError);
    assert.deepEqual([error.kind, error.message], ["busy", message]);
    return true;
  };
}

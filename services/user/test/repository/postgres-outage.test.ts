import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { Postgres } from "../../../../test/support/postgres.ts";
import { skipUnless } from "../../../../test/support/real-parts.ts";
import { Relay } from "../../../../test/support/relay.ts";
import { type PostgresOptions, PostgresUserRepository } from "../../repository/postgres.ts";
import { StoreError } from "../../repository/store-error.ts";
import { record } from "../repository-contract.ts";
import { adminOf, createDatabase, eventually } from "../support/database.ts";
import { never } from "../support/signals.ts";

const AT = new Date("2030-01-02T03:04:05.678Z");

describe("an outage of PostgreSQL", skipUnless("postgres", "initdb"), () => {
  let server: Postgres;

  before(async () => {
    server = await Postgres.start();
  });
  after(() => server.stop());

  /** A repository behind a relay, and what it tells of its reachability. */
  async function open(t: TestContext, options: PostgresOptions = {}) {
    const database = await createDatabase(server.url());
    const relay = await Relay.start(server.port);
    const repository = await PostgresUserRepository.open(database.replace(/127.0.0.1:\d+/, relay.host), options);
    const told: boolean[] = [];
    repository.onReachable((reachable) => told.push(reachable));
    t.after(async () => {
      await repository.close();
      await relay.stop();
    });
    return { repository, relay, told, database };
  }

  it("makes calls unavailable at once, is told, and is over by itself", async (t) => {
    const { repository, told } = await open(t);
    await repository.insert([record("ann")], AT, never);
    await server.crash();
    try {
      for (let n = 0; n < 3; n++) await assert.rejects(repository.get("ann", never), kind("unavailable"));
      await assert.rejects(repository.insert([record("bob")], AT, never), kind("unavailable"));
      await eventually("the outage is told", async () => told.length === 1);
    } finally {
      await server.resume();
    }
    await eventually("the end is told", async () => told.length === 2);
    assert.deepEqual(told, [false, true]);
    assert.equal((await repository.get("ann", never))?.id, "ann");
    assert.equal((await repository.insert([record("bob")], AT, never))[0]?.kind, "stored");
  });

  it("that nobody called in leaves no broken connection to the next call", async (t) => {
    const { repository } = await open(t);
    await Promise.all(Array.from({ length: 10 }, (_, n) => repository.get(`user-${n}`, never)));
    await server.crash();
    await server.resume();
    for (let n = 0; n < 20; n++) assert.equal(await repository.get(`user-${n}`, never), undefined);
  });

  it("in the moment in which a connection is made fails the call that waits for it, and nothing else", async (t) => {
    const { repository, relay } = await open(t);
    // What the driver asks of its own accord it does not take the failure of, and the process would end.
    relay.breakAt = "pg_type";
    assert.equal(await repository.get("ann", never), undefined);
    const other = await open(t);
    other.relay.breakAt = "pg_backend_pid";
    await assert.rejects(other.repository.get("ann", never), kind("unavailable"));
    other.relay.breakAt = undefined;
    assert.equal(await other.repository.get("ann", never), undefined);
  });

  it("does not hide what was changed meanwhile by others", async (t) => {
    const { repository, relay, database, told } = await open(t);
    let heard = 0;
    repository.onChange(() => heard++);
    relay.silence();
    await eventually("the outage is told", async () => told.length === 1);
    const direct = await PostgresUserRepository.open(database);
    await direct.insert([record("ann")], AT, never);
    await direct.close();
    const before = heard;
    relay.speak();
    await eventually("the change is told", async () => heard > before);
    await eventually("the end is told", async () => told.length === 2);
    assert.equal((await repository.get("ann", never))?.id, "ann");
  });

  it("in which the server is silent ends calls at their deadline, and those that have none as well", async (t) => {
    const { repository, relay, told } = await open(t, { connections: 2, waitMs: 60_000 });
    assert.equal(await repository.get("ann", never), undefined);
    relay.silence();
    const reason = new Error("deadline exceeded");
    const late = Array.from({ length: 5 }, () => repository.get("ann", abortedIn(300, reason)));
    const endless = repository.get("ann", never);
    for (const call of late) await assert.rejects(call, reason);
    // Whoever has no deadline is told when the server has not answered for a while.
    await assert.rejects(endless, kind("unavailable"));
    await eventually("the outage is told", async () => told.at(-1) === false);
    relay.speak();
    assert.equal(await repository.get("ann", AbortSignal.timeout(20_000)), undefined);
    await eventually("the end is told", async () => told.at(-1) === true);
  });

  it("in the middle of a commit leaves it uncertain, and says so", async (t) => {
    const { repository, relay } = await open(t);
    relay.breakAt = "commit";
    await assert.rejects(repository.insert([record("ann")], AT, never), kind("uncertain"));
    relay.breakAt = undefined;
    assert.equal(await repository.get("ann", never), undefined);
  });

  it("before the commit leaves it undone, and says so", async (t) => {
    const { repository, relay } = await open(t);
    relay.breakAt = "INSERT INTO users";
    await assert.rejects(repository.insert([record("ann")], AT, never), kind("unavailable"));
    relay.breakAt = undefined;
    assert.equal(await repository.revision(never), 0n);
  });

  it("of one connection only, ended by an administrator, is none for the next call", async (t) => {
    const { repository, database, told } = await open(t, { connections: 1 });
    await repository.get("ann", never);
    const admin = adminOf(database);
    t.after(() => admin.end());
    await admin`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'user-service' AND query LIKE '%display_name%'`;
    await eventually("a call is served", async () => {
      const answer = repository.get("ann", never);
      return answer.then(
        () => true,
        () => false,
      );
    });
    assert.deepEqual(told, []);
  });
});

function abortedIn(ms: number, reason: Error): AbortSignal {
  const caller = new AbortController();
  setTimeout(() => caller.abort(reason), ms);
  return caller.signal;
}

function kind(expected: StoreError["kind"]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StoreError, String(error));
    assert.equal(error.kind, expected, error.message);
    return true;
  };
}

import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { Postgres } from "../../../../test/support/postgres.ts";
import { skipUnless } from "../../../../test/support/real-parts.ts";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "../../api/gen/grpc/health/v1/health_pb.ts";
import type { SyncUsersRequestSchema, UserChange } from "../../api/gen/user_pb.ts";
import { openRepository } from "../../repository/open.ts";
import { adminOf, createDatabase, eventually, lockUsers, running } from "../support/database.ts";
import { collect, failureOf, Requests, type Served, serve } from "../support/serve.ts";

const user = (id: string) => ({ id, email: `${id}@x.org`, displayName: id });

describe("the service on PostgreSQL", skipUnless("postgres", "initdb"), () => {
  let server: Postgres;

  before(async () => {
    server = await Postgres.start();
  });
  after(() => server.stop());

  /** Replicas that share a new database. */
  async function replicas(t: TestContext, count: number, connections = 4): Promise<{ url: string; served: Served[] }> {
    const url = await createDatabase(server.url());
    const served: Served[] = [];
    for (let n = 0; n < count; n++) {
      served.push(await serve(t, { repository: await openRepository(url, { connections }), instance: `replica-${n}` }));
    }
    return { url, served };
  }

  it("shows at each replica what was done at another: users, lists, imports, changes and refusals", async (t) => {
    const { served } = await replicas(t, 2);
    const [one, two] = served.map(({ users }) => users);
    assert.ok(one && two);
    const created = await one.createUser({ user: user("ann") });
    assert.equal((await two.getUser({ id: "ann" })).user?.version, created.user?.version);
    await failureOf(two.createUser({ user: { ...user("bob"), email: "ANN@x.org" } }), status.ALREADY_EXISTS);
    await failureOf(two.deleteUser({ id: "ann", version: 9n }), status.ABORTED);
    const imported = await two.importUsers(
      (async function* () {
        for (let n = 0; n < 300; n++) yield { user: user(`user-${n}`) };
        yield { user: user("ann") };
      })(),
    );
    assert.deepEqual([imported.createdCount, imported.failedCount], [300n, 1n]);
    const [firstPage] = await collect(one.listUsers({ pageSize: 200 }));
    const rest = await collect(two.listUsers({ pageSize: 200, pageToken: firstPage?.nextPageToken ?? "" }));
    assert.deepEqual([firstPage?.users.length, rest.length, rest[0]?.users.length], [200, 1, 101]);
    await two.deleteUser({ id: "ann" });
    await failureOf(one.getUser({ id: "ann" }), status.NOT_FOUND);
  });

  it("tells a watch and a sync of the changes at every replica, and a watch goes on at another one", async (t) => {
    const { served } = await replicas(t, 2);
    const [one, two] = served.map(({ users }) => users);
    assert.ok(one && two);
    const changes = one.watchUsers({ afterRevision: 0n })[Symbol.asyncIterator]();
    const next = async (): Promise<UserChange | undefined> => (await changes.next()).value?.change;
    assert.equal((await next())?.change.case, undefined);
    await two.createUser({ user: user("ann") });
    const put = await next();
    assert.deepEqual([put?.revision, put?.change.case], [1n, "put"]);
    await changes.return?.();
    await one.deleteUser({ id: "ann" });
    for await (const { change } of two.watchUsers({ afterRevision: put?.revision ?? 0n })) {
      if (change?.change.case === undefined) continue;
      assert.deepEqual([change.revision, change.change.value.id], [2n, "ann"]);
      break;
    }

    const requests = new Requests<MessageInitShape<typeof SyncUsersRequestSchema>>();
    requests.push({ request: { case: "start", value: {} } });
    const told: string[] = [];
    const syncing = (async () => {
      for await (const { response } of one.syncUsers(requests)) {
        if (response.case === "ack") told.push(`ack ${response.value.operationId}`);
        if (response.case === "change") told.push(`change ${response.value.change.value?.id ?? "begins"}`);
      }
    })();
    await eventually("the sync has begun", async () => told.length === 1);
    requests.push({ request: { case: "upsert", value: { operationId: "op-1", user: user("bob") } } });
    await eventually("the upsert is stored", async () => told.includes("ack op-1"));
    await two.createUser({ user: user("cid") });
    await eventually("the other's change has come", async () => told.includes("change cid"));
    requests.end();
    await syncing;
    assert.deepEqual(told, ["change begins", "ack op-1", "change cid"]);
  });

  it("has the database stop working on a call whose deadline has passed or whose caller is gone", async (t) => {
    const { url, served } = await replicas(t, 1, 1);
    const [replica] = served;
    assert.ok(replica);
    await replica.users.createUser({ user: user("ann") });
    const admin = adminOf(url);
    t.after(() => admin.end());
    const lock = await lockUsers(admin);
    const working = (expected: boolean) => async () => (await running(admin)).length > 0 === expected;

    const late = failureOf(replica.users.getUser({ id: "ann" }, { timeout: 400 }), status.DEADLINE_EXCEEDED);
    await eventually("the database is at work", working(true));
    await late;
    await eventually("it has stopped", working(false));

    const caller = new AbortController();
    const cancelled = failureOf(collect(replica.users.listUsers({}, { signal: caller.signal })), status.CANCELLED);
    await eventually("the database is at work", working(true));
    caller.abort();
    await cancelled;
    await eventually("it has stopped", working(false));

    await lock.letGo();
    assert.equal((await replica.users.getUser({ id: "ann" })).user?.id, "ann");
  });

  it("says that the store cannot be reached while it cannot, and serves and goes on watching when it can", async (t) => {
    const { served } = await replicas(t, 1);
    const [replica] = served;
    assert.ok(replica);
    const { users, health } = replica;
    const ask = async (service: string) => (await health.check({ service })).status;
    const changes = users.watchUsers({ afterRevision: 0n })[Symbol.asyncIterator]();
    await changes.next();
    await server.crash();
    try {
      const failed = await failureOf(users.createUser({ user: user("ann") }), status.UNAVAILABLE);
      assert.equal(failed.details, "failed to create user: the store cannot be reached");
      await eventually("the service is not serving", async () => {
        return (await ask("user.v1.UserService")) === ServingStatus.NOT_SERVING;
      });
      assert.equal(await ask(""), ServingStatus.SERVING);
    } finally {
      await server.resume();
    }
    await eventually("the service is serving", async () => {
      return (await ask("user.v1.UserService")) === ServingStatus.SERVING;
    });
    await users.createUser({ user: user("ann") });
    const { value: told } = await changes.next();
    assert.equal(told?.change?.change.value?.id, "ann");
    await changes.return?.();
  });
});

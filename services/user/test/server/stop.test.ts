import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { SyncUsersRequestSchema } from "../../api/gen/user_pb.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { collect, failureOf, Requests, serve, until } from "../support/serve.ts";

const ANN = { id: "ann", email: "ann@x.org", displayName: "Ann" };

describe("stopping", () => {
  it("an idle server takes no time", async (t) => {
    const { server, users } = await serve(t);
    await users.createUser({ user: ANN });
    const started = performance.now();
    assert.equal(await server.stop(5_000), true);
    assert.ok(performance.now() - started < 500);
  });

  it("lets calls that have an end of their own come to it", async (t) => {
    const repository = new FakeUserRepository();
    const gate = Promise.withResolvers<void>();
    repository.gate = gate.promise;
    const { server, users } = await serve(t, { repository });
    const creating = users.createUser({ user: ANN });
    const listing = collect(users.listUsers({}));
    const requests = new Requests<{ user: typeof ANN }>();
    const importing = users.importUsers(requests);
    await until("the calls have begun", () => repository.calls.length === 2);
    const stopped = server.stop(5_000);
    requests.push({ user: { ...ANN, id: "bob", email: "bob@x.org" } });
    requests.end();
    gate.resolve();
    assert.equal((await creating).user?.id, "ann");
    assert.equal((await listing).length, 1);
    assert.equal((await importing).createdCount, 1n);
    assert.equal(await stopped, true);
  });

  it("ends watches and syncs with UNAVAILABLE, also one whose client has not said anything", async (t) => {
    const { server, users } = await serve(t);
    const watching = failureOf(collect(users.watchUsers({})), status.UNAVAILABLE);
    const silent = failureOf(collect(users.syncUsers(new Requests<never>())), status.UNAVAILABLE);
    const requests = new Requests<MessageInitShape<typeof SyncUsersRequestSchema>>();
    requests.push({ request: { case: "upsert", value: { operationId: "1", user: ANN } } });
    const responses: (string | undefined)[] = [];
    const syncing = failureOf(
      (async () => {
        for await (const { response } of users.syncUsers(requests)) responses.push(response.case);
      })(),
      status.UNAVAILABLE,
    );
    await until("the upsert is acknowledged", () => responses.includes("ack"));
    const started = performance.now();
    assert.equal(await server.stop(5_000), true);
    assert.ok(performance.now() - started < 1_000);
    for (const ended of [watching, silent, syncing]) assert.equal((await ended).details, "the server is stopping");
    assert.deepEqual(responses, ["change", "ack"]);
  });

  it("cuts what has not ended when the grace is over, and says so", async (t) => {
    const repository = new FakeUserRepository();
    repository.gate = new Promise(() => {});
    const { server, users } = await serve(t, { repository });
    const hanging = users.getUser({ id: "ann" });
    const outcome = hanging.then(
      () => "answered",
      () => "cut",
    );
    await until("the call has begun", () => repository.calls.length === 1);
    const started = performance.now();
    assert.equal(await server.stop(100), false);
    const took = performance.now() - started;
    assert.ok(took >= 99 && took < 1_000, `${took} ms`);
    assert.equal(await outcome, "cut");
    await until("the query is given up", () => repository.interrupted === 1);
  });

  it("frees the port", async (t) => {
    const first = await serve(t);
    await first.users.createUser({ user: ANN });
    await first.server.stop(1_000);
    const second = await serve(t);
    await second.server.listen(first.address);
  });
});

describe("listening", () => {
  it("on an address that is taken fails and names it", async (t) => {
    const { address } = await serve(t);
    const second = await serve(t);
    await assert.rejects(
      second.server.listen(address),
      new RegExp(`^Error: cannot listen on ${address}: .*EADDRINUSE`),
    );
  });
});

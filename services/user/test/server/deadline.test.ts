import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { record } from "../repository-contract.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { collect, failureOf, Requests, serve, until } from "../support/serve.ts";
import { never } from "../support/signals.ts";

const ANN = { id: "ann", email: "ann@x.org", displayName: "Ann" };

describe("a deadline", () => {
  it("ends the query of every kind of call, and nothing is logged", async (t) => {
    const repository = new FakeUserRepository();
    const { users, lines } = await serve(t, { repository });
    // With the connection open already, all calls are under way long before their deadline.
    await collect(users.listUsers({}));
    repository.gate = new Promise(() => {});
    const requests = new Requests<{ user: typeof ANN }>();
    requests.push({ user: ANN });
    requests.end();
    const timeout = { timeout: 400 };
    await Promise.all([
      failureOf(users.getUser({ id: "ann" }, timeout), status.DEADLINE_EXCEEDED),
      failureOf(users.createUser({ user: ANN }, timeout), status.DEADLINE_EXCEEDED),
      failureOf(users.updateUser({ user: ANN }, timeout), status.DEADLINE_EXCEEDED),
      failureOf(users.deleteUser({ id: "ann" }, timeout), status.DEADLINE_EXCEEDED),
      failureOf(collect(users.listUsers({}, timeout)), status.DEADLINE_EXCEEDED),
      failureOf(users.importUsers(requests, timeout), status.DEADLINE_EXCEEDED),
      failureOf(collect(users.watchUsers({}, timeout)), status.DEADLINE_EXCEEDED),
      failureOf(collect(users.syncUsers(syncOf(ANN), timeout)), status.DEADLINE_EXCEEDED),
    ]);
    await until("all queries are given up", () => repository.interrupted === 8);
    assert.deepEqual(lines, []);
  });

  it("ends a watch that has nothing to tell", async (t) => {
    const repository = new FakeUserRepository();
    const { users } = await serve(t, { repository });
    await failureOf(collect(users.watchUsers({}, { timeout: 60 })), status.DEADLINE_EXCEEDED);
    await until("the server has let go", () => repository.listeners === 0);
  });

  it("ends a stream whose client reads nothing, so that the server keeps no query for it", async (t) => {
    const repository = new FakeUserRepository();
    const picture = new Uint8Array(300 * 1024);
    const records = Array.from({ length: 200 }, (_, n) => ({ ...record(`user-${n}`), picture }));
    await repository.insert(records, new Date(), never);
    repository.calls.length = 0;
    const { users } = await serve(t, { repository });
    const stream = users.listUsers({}, { timeout: 700 })[Symbol.asyncIterator]();
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 800));
    const asked = repository.calls.length;
    assert.ok(asked < 200);
    await failureOf(
      (async () => {
        while (!(await stream.next()).done);
      })(),
      status.DEADLINE_EXCEEDED,
    );
    assert.equal(repository.calls.length, asked);
  });
});

describe("a caller that cancels", () => {
  it("ends the query of every kind of call, and nothing is logged", async (t) => {
    const repository = new FakeUserRepository();
    repository.gate = new Promise(() => {});
    const { users, lines } = await serve(t, { repository });
    const caller = new AbortController();
    const { signal } = caller;
    const calls = [
      users.getUser({ id: "ann" }, { signal }),
      users.createUser({ user: ANN }, { signal }),
      users.updateUser({ user: ANN }, { signal }),
      users.deleteUser({ id: "ann" }, { signal }),
      collect(users.listUsers({}, { signal })),
      collect(users.watchUsers({}, { signal })),
      collect(users.syncUsers(syncOf(ANN), { signal })),
    ];
    const failures = Promise.all(calls.map((call) => failureOf(call, status.CANCELLED)));
    await until("all queries have begun", () => repository.calls.length === calls.length);
    caller.abort();
    await failures;
    await until("all queries are given up", () => repository.interrupted === calls.length);
    assert.deepEqual(lines, []);
  });

  it("before it calls has not called", async (t) => {
    const repository = new FakeUserRepository();
    const { users } = await serve(t, { repository });
    await failureOf(users.getUser({ id: "ann" }, { signal: AbortSignal.abort() }), status.CANCELLED);
    assert.deepEqual(repository.calls, []);
  });
});

async function* syncOf(user: typeof ANN) {
  yield { request: { case: "upsert", value: { operationId: "1", user } } } as const;
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { SyncUsersRequestSchema, SyncUsersResponseSchema } from "../../api/gen/user_pb.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { failureOf, Requests, type Served, serve, until } from "../support/serve.ts";

type Request = MessageInitShape<typeof SyncUsersRequestSchema>;
type Response = MessageShape<typeof SyncUsersResponseSchema>;

function start(afterRevision?: bigint): Request {
  return { request: { case: "start", value: afterRevision === undefined ? {} : { afterRevision } } };
}

function upsert(operationId: string, id: string, fields: { version?: bigint; displayName?: string } = {}): Request {
  const user = { id, email: `${id}@x.org`, displayName: "Somebody", ...fields };
  return { request: { case: "upsert", value: { operationId, user } } };
}

function told({ response }: Response): string {
  switch (response.case) {
    case "ack": {
      const { operationId, result } = response.value;
      assert.ok(result.case !== undefined);
      return `ack ${operationId} ${result.case === "version" ? result.value : status[result.value.code]}`;
    }
    case "change": {
      const { revision, change } = response.value;
      return change.case === undefined ? `start ${revision}` : `${change.case} ${change.value.id} ${revision}`;
    }
    case undefined:
      return assert.fail("an empty response");
  }
}

function open({ users }: Served, signal?: AbortSignal) {
  const requests = new Requests<Request>();
  const items = users.syncUsers(requests, signal ? { signal } : {})[Symbol.asyncIterator]();
  const next = async () => {
    const item = await items.next();
    return item.done ? "end" : told(item.value);
  };
  return { requests, next };
}

describe("SyncUsers", () => {
  it("acknowledges each upsert with its version or its error, in order, and ends after the client", async (t) => {
    const sync = open(await serve(t));
    sync.requests.push(upsert("1", "ann"), upsert("2", "ann"), upsert("3", "ann", { version: 1n }));
    sync.requests.push(upsert("4", ""), upsert("5", "bob", { version: 9n }), upsert("6", "ann", { version: 2n }));
    sync.requests.end();
    const all: string[] = [];
    for (let item = await sync.next(); item !== "end"; item = await sync.next()) all.push(item);
    assert.deepEqual(all, [
      "start 0",
      "ack 1 1",
      "ack 2 2",
      "ack 3 ABORTED",
      "ack 4 INVALID_ARGUMENT",
      "ack 5 NOT_FOUND",
      "ack 6 3",
    ]);
  });

  it("tells the changes of others and not the client's own", async (t) => {
    const served = await serve(t);
    const one = open(served);
    const two = open(served);
    one.requests.push(start());
    two.requests.push(start());
    assert.deepEqual([await one.next(), await two.next()], ["start 0", "start 0"]);
    one.requests.push(upsert("1", "ann"));
    assert.deepEqual([await one.next(), await two.next()], ["ack 1 1", "put ann 1"]);
    two.requests.push(upsert("1", "bob"));
    assert.deepEqual([await one.next(), await two.next()], ["put bob 2", "ack 1 2"]);
    await served.users.deleteUser({ id: "ann" });
    assert.deepEqual([await one.next(), await two.next()], ["deleted ann 3", "deleted ann 3"]);
    one.requests.end();
    two.requests.end();
    assert.deepEqual([await one.next(), await two.next()], ["end", "end"]);
  });

  it("begins after the revision that the client has", async (t) => {
    const served = await serve(t);
    for (const id of ["a", "b"]) {
      await served.users.createUser({ user: { id, email: `${id}@x.org`, displayName: id } });
    }
    const sync = open(served);
    sync.requests.push(start(1n));
    assert.deepEqual([await sync.next(), await sync.next()], ["start 1", "put b 2"]);
    sync.requests.end();
    assert.equal(await sync.next(), "end");
  });

  it("ends at once for a client that sends nothing", async (t) => {
    const sync = open(await serve(t));
    sync.requests.end();
    assert.equal(await sync.next(), "end");
  });

  it("answers OUT_OF_RANGE to a revision that is not known, and INVALID_ARGUMENT to a second start", async (t) => {
    const served = await serve(t);
    const ahead = open(served);
    ahead.requests.push(start(9n));
    await failureOf(ahead.next(), status.OUT_OF_RANGE);

    const twice = open(served);
    twice.requests.push(start(), start());
    assert.equal(await twice.next(), "start 0");
    const { details } = await failureOf(twice.next(), status.INVALID_ARGUMENT);
    assert.equal(details, "start must be the first message");

    const empty = open(served);
    empty.requests.push({});
    assert.equal(await empty.next(), "start 0");
    assert.equal(
      (await failureOf(empty.next(), status.INVALID_ARGUMENT)).details,
      "a message is neither start nor upsert",
    );
  });

  it("acknowledges a store that fails as INTERNAL, without the cause", async (t) => {
    const repository = new FakeUserRepository();
    const sync = open(await serve(t, { repository }));
    sync.requests.push(start());
    assert.equal(await sync.next(), "start 0");
    repository.failure = new Error("disk full");
    sync.requests.push(upsert("1", "ann"));
    assert.equal(await sync.next(), "ack 1 INTERNAL");
  });

  it("lets go of the store when the client cancels", async (t) => {
    const repository = new FakeUserRepository();
    const caller = new AbortController();
    const sync = open(await serve(t, { repository }), caller.signal);
    sync.requests.push(start());
    assert.equal(await sync.next(), "start 0");
    assert.equal(repository.listeners, 1);
    caller.abort();
    await failureOf(sync.next(), status.CANCELLED);
    await until("the server has let go", () => repository.listeners === 0);
  });

  it("carries a thousand upserts of two clients at once, each told to the other or overtaken", async (t) => {
    const served = await serve(t);
    const run = async (name: string) => {
      const sync = open(served);
      sync.requests.push(start(0n));
      for (let n = 0; n < 500; n++) sync.requests.push(upsert(String(n), `${name}-${n}`));
      const acks: string[] = [];
      const changes = new Set<string>();
      while (acks.length < 500 || changes.size < 500) {
        const [kind = "", id = ""] = (await sync.next()).split(" ");
        if (kind === "ack") acks.push(id);
        if (kind === "put") changes.add(id);
      }
      sync.requests.end();
      assert.equal(await sync.next(), "end");
      assert.deepEqual(
        acks,
        Array.from({ length: 500 }, (_, n) => String(n)),
      );
      return [...changes].filter((id) => id.startsWith(name));
    };
    assert.deepEqual(await Promise.all([run("one"), run("two")]), [[], []]);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MessageShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { WatchUsersResponseSchema } from "../../api/gen/user_pb.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { collect, failureOf, serve, until } from "../support/serve.ts";

type Response = MessageShape<typeof WatchUsersResponseSchema>;

/** "REVISION put ID", "REVISION deleted ID" or, for the first message, "REVISION start". */
function told({ change }: Response): string {
  const { revision, change: what } = change ?? assert.fail("no change");
  return what.case === undefined ? `${revision} start` : `${revision} ${what.case} ${what.value.id}`;
}

function reader(stream: AsyncIterable<Response>) {
  const items = stream[Symbol.asyncIterator]();
  return {
    next: async () => {
      const item = await items.next();
      assert.ok(!item.done);
      return told(item.value);
    },
    end: () => items.return?.(),
  };
}

function user(id: string) {
  return { user: { id, email: `${id}@x.org`, displayName: id } };
}

describe("WatchUsers", () => {
  it("says where it starts, then tells each change", async (t) => {
    const { users } = await serve(t);
    await users.createUser(user("before"));
    const watch = reader(users.watchUsers({}));
    assert.equal(await watch.next(), "1 start");
    await users.createUser(user("ann"));
    assert.equal(await watch.next(), "2 put ann");
    await users.updateUser({ user: { id: "ann", displayName: "Anna" } });
    assert.equal(await watch.next(), "3 put ann");
    await users.deleteUser({ id: "ann" });
    assert.equal(await watch.next(), "4 deleted ann");
    await watch.end();
  });

  it("goes on after the last revision that was read, with what happened meanwhile", async (t) => {
    const { users } = await serve(t);
    for (const id of ["a", "b", "c"]) await users.createUser(user(id));
    await users.deleteUser({ id: "b" });
    const resumed = reader(users.watchUsers({ afterRevision: 1n }));
    assert.deepEqual(
      [await resumed.next(), await resumed.next(), await resumed.next()],
      ["1 start", "3 put c", "4 deleted b"],
    );
    await resumed.end();
  });

  it("from revision 0 tells everything that there is", async (t) => {
    const { users } = await serve(t);
    await users.createUser(user("a"));
    const watch = reader(users.watchUsers({ afterRevision: 0n }));
    assert.deepEqual([await watch.next(), await watch.next()], ["0 start", "1 put a"]);
    await watch.end();
  });

  it("answers OUT_OF_RANGE to a revision that the store has not reached", async (t) => {
    const { users } = await serve(t);
    const call = collect(users.watchUsers({ afterRevision: 5n }));
    const { details } = await failureOf(call, status.OUT_OF_RANGE);
    const message = "changes after revision 5 are not known, only those after 0 to 0: list, then watch from now";
    assert.equal(details, message);
  });

  it("tells a client that does not read the latest state when it does, and queues nothing for it", async (t) => {
    const repository = new FakeUserRepository();
    const { users } = await serve(t, { repository });
    const picture = new Uint8Array(200 * 1024);
    const stream = users.watchUsers({})[Symbol.asyncIterator]();
    await stream.next();
    const rounds = 100;
    for (let n = 0; n < rounds; n++) {
      await users
        .updateUser({ user: { ...user("ann").user, picture } })
        .catch(() => users.createUser({ user: { ...user("ann").user, picture } }));
    }
    const revisions: bigint[] = [];
    while (revisions.at(-1) !== BigInt(rounds)) {
      const item = await stream.next();
      assert.ok(!item.done);
      revisions.push(item.value.change?.revision ?? 0n);
    }
    // Fewer than were made, in order, and the last one among them.
    assert.ok(revisions.length < rounds, `${revisions.length} changes were told`);
    assert.deepEqual(
      revisions,
      revisions.toSorted((a, b) => Number(a - b)),
    );
    await stream.return?.();
  });

  it("is seen by 50 watchers at once, and none is left behind in the store when they go", async (t) => {
    const repository = new FakeUserRepository();
    const { users } = await serve(t, { repository });
    const watches = Array.from({ length: 50 }, () => reader(users.watchUsers({})));
    for (const watch of watches) assert.equal(await watch.next(), "0 start");
    assert.equal(repository.listeners, 50);
    await users.createUser(user("ann"));
    for (const watch of watches) assert.equal(await watch.next(), "1 put ann");
    for (const watch of watches) await watch.end();
    await until("the server has let go of all", () => repository.listeners === 0);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { UserDraft } from "../../internal/user-draft.ts";
import { UserSync } from "../../internal/user-sync.ts";
import { Users } from "../../internal/users.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { recordedLog } from "../support/log.ts";
import { never } from "../support/signals.ts";

function draft(id: string): UserDraft {
  return { id, email: `${id}@x.org`, displayName: id, picture: new Uint8Array() };
}

describe("a sync", () => {
  it("tells a client of everybody's changes but its own", async () => {
    const users = new Users({ repository: new FakeUserRepository(), log: recordedLog().log });
    const sync = new UserSync(users);
    const feed = sync.remoteChanges(undefined, never);
    const told: string[] = [];
    const next = async () => {
      const item = await feed.next();
      assert.ok(!item.done && item.value.ok);
      told.push(`${item.value.value.kind} ${item.value.value.revision}`);
    };
    await next();
    await sync.upsert(draft("a"), undefined, never);
    const waiting = next();
    await sync.upsert(draft("b"), undefined, never);
    await users.put(draft("c"), undefined, never);
    await waiting;
    await sync.upsert(draft("d"), undefined, never);
    await users.delete("a", undefined, never);
    await next();
    assert.deepEqual(told, ["start 0", "put 3", "deleted 5"]);
    await feed.return();
  });

  it("tells a client of its own user when somebody else has changed it since", async () => {
    const users = new Users({ repository: new FakeUserRepository(), log: recordedLog().log });
    const sync = new UserSync(users);
    await sync.upsert(draft("a"), undefined, never);
    await users.put({ ...draft("a"), displayName: "other" }, undefined, never);
    const feed = sync.remoteChanges(0n, never);
    await feed.next();
    const item = await feed.next();
    assert.ok(!item.done && item.value.ok && item.value.value.kind === "put");
    assert.equal(item.value.value.user.displayName, "other");
    await feed.return();
  });
});

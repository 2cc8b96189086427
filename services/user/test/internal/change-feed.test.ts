import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { changeFeed } from "../../internal/change-feed.ts";
import type { ChangePage, UserChange } from "../../repository/user.ts";
import { record } from "../repository-contract.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { never } from "../support/signals.ts";

const AT = new Date("2031-05-06T07:08:09.010Z");

let repository = new FakeUserRepository();
beforeEach(() => {
  repository = new FakeUserRepository();
});

async function put(...ids: string[]): Promise<void> {
  for (const id of ids) await repository.put(record(id), undefined, AT, never);
}

async function nextOf(feed: AsyncGenerator<ChangePage, void>): Promise<readonly UserChange[]> {
  const next = await feed.next();
  assert.ok(!next.done && next.value.kind === "changes");
  return next.value.changes;
}

function revisions(changes: readonly UserChange[]): number[] {
  return changes.map(({ revision }) => Number(revision));
}

describe("a change feed", () => {
  it("begins at once with what there is after its revision, which may be nothing", async () => {
    await put("a", "b", "c");
    const behind = changeFeed(repository, 1n, never);
    assert.deepEqual(revisions(await nextOf(behind)), [2, 3]);
    await behind.return();
    const upToDate = changeFeed(repository, 3n, never);
    assert.deepEqual(await nextOf(upToDate), []);
    await upToDate.return();
  });

  it("goes on with what changes later, missing nothing that changes while it is read", async () => {
    const feed = changeFeed(repository, 0n, never);
    assert.deepEqual(await nextOf(feed), []);
    const seen: number[] = [];
    const reading = (async () => {
      while (seen.length < 500) seen.push(...revisions(await nextOf(feed)));
    })();
    for (let n = 0; n < 500; n++) {
      await put(`user-${n}`);
      // At different distances from the reader's turn.
      for (let turns = n % 4; turns > 0; turns--) await Promise.resolve();
      if (n % 50 === 0) await new Promise(setImmediate);
    }
    await reading;
    assert.deepEqual(
      seen,
      Array.from({ length: 500 }, (_, n) => n + 1),
    );
    await feed.return();
  });

  it("holds nothing for a reader that is slow: it gets what is left, in its latest state", async () => {
    const feed = changeFeed(repository, 0n, never);
    assert.deepEqual(await nextOf(feed), []);
    for (let n = 0; n < 1_000; n++) await put("a", "b");
    assert.deepEqual(revisions(await nextOf(feed)), [1_999, 2_000]);
    await feed.return();
  });

  it("reads no more than a page ahead of its reader", async () => {
    for (let n = 0; n < 250; n++) await put(`user-${n}`);
    repository.calls.length = 0;
    const feed = changeFeed(repository, 0n, never);
    assert.equal((await nextOf(feed)).length, 100);
    assert.deepEqual(repository.calls, ["changes"]);
    assert.equal((await nextOf(feed)).length, 100);
    assert.equal((await nextOf(feed)).length, 50);
    await feed.return();
  });

  it("ends after a page that is out of range", async () => {
    const feed = changeFeed(repository, 9n, never);
    const page = await feed.next();
    assert.deepEqual(page, { done: false, value: { kind: "outOfRange", oldest: 0n, newest: 0n } });
    assert.equal((await feed.next()).done, true);
    assert.equal(repository.listeners, 0);
  });

  it("throws the reason and stops listening when its signal is aborted while it waits", async () => {
    const caller = new AbortController();
    const feed = changeFeed(repository, 0n, caller.signal);
    await nextOf(feed);
    const waiting = feed.next();
    const reason = new Error("gone");
    setImmediate(() => caller.abort(reason));
    await assert.rejects(waiting, reason);
    assert.equal(repository.listeners, 0);
  });

  it("stops listening when its reader leaves", async () => {
    const feed = changeFeed(repository, 0n, never);
    await nextOf(feed);
    assert.equal(repository.listeners, 1);
    await feed.return();
    assert.equal(repository.listeners, 0);
  });

  it("throws when the store fails", async () => {
    const feed = changeFeed(repository, 0n, never);
    await nextOf(feed);
    const waiting = feed.next();
    await new Promise(setImmediate);
    await put("a");
    repository.failure = new Error("disk I/O error");
    await assert.rejects(async () => {
      await waiting;
      await feed.next();
    }, /disk I\/O error/);
    assert.equal(repository.listeners, 0);
  });
});

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { pageTokenOf } from "../../internal/page-token.ts";
import type { UserDraft } from "../../internal/user-draft.ts";
import type { Result, UserError } from "../../internal/user-error.ts";
import { Users } from "../../internal/users.ts";
import { StoreError } from "../../repository/store-error.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { type RecordedLog, recordedLog } from "../support/log.ts";
import { never } from "../support/signals.ts";

const NOW = new Date("2031-05-06T07:08:09.010Z");

let repository = new FakeUserRepository();
let recorded: RecordedLog = recordedLog();
let users = newUsers();

beforeEach(() => {
  repository = new FakeUserRepository();
  recorded = recordedLog();
  users = newUsers();
});

function newUsers(): Users {
  let ids = 0;
  return new Users({ repository, log: recorded.log, now: () => NOW, newId: () => `id-${++ids}` });
}

function draft(fields: Partial<UserDraft> = {}): UserDraft {
  return { id: "", email: "ann@x.org", displayName: "Ann", picture: new Uint8Array(), ...fields };
}

function ok<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? "" : JSON.stringify(result.error.kind));
  return result.value;
}

function errorOf(result: Result<unknown> | undefined): UserError {
  assert.ok(result !== undefined && !result.ok);
  return result.error;
}

async function* of<T>(...items: T[]): AsyncGenerator<T, void> {
  yield* items;
}

describe("creating a user", () => {
  it("chooses an id where the caller has none, and sets version and times", async () => {
    const created = ok(await users.create(draft(), never));
    assert.deepEqual(created, { ...draft(), id: "id-1", version: 1n, createdAt: NOW, updatedAt: NOW });
  });

  it("takes the caller's id", async () => {
    assert.equal(ok(await users.create(draft({ id: "ann" }), never)).id, "ann");
  });

  it("says what is taken", async () => {
    await users.create(draft({ id: "ann" }), never);
    const sameId = errorOf(await users.create(draft({ id: "ann", email: "b@x.org" }), never));
    assert.deepEqual(sameId, { kind: "alreadyExists", field: "id", value: "ann" });
    const sameEmail = errorOf(await users.create(draft({ email: "Ann@x.org" }), never));
    assert.deepEqual(sameEmail, { kind: "alreadyExists", field: "email", value: "Ann@x.org" });
  });

  it("tells all that is wrong at once, and does not ask the store", async () => {
    const error = errorOf(await users.create(draft({ id: "a b", email: "", displayName: "\t" }), never));
    assert.ok(error.kind === "invalid");
    assert.deepEqual(
      error.violations.map(({ field }) => field),
      ["user.id", "user.email", "user.display_name"],
    );
    assert.deepEqual(repository.calls, []);
  });
});

describe("fetching, updating and deleting a user", () => {
  it("is not found where there is none", async () => {
    const notFound: UserError = { kind: "notFound", id: "ann" };
    assert.deepEqual(errorOf(await users.get("ann", never)), notFound);
    const order = { user: draft({ id: "ann" }), version: undefined, mask: [] };
    assert.deepEqual(errorOf(await users.update(order, never)), notFound);
    assert.deepEqual(errorOf(await users.delete("ann", undefined, never)), notFound);
  });

  it("needs an id that could be one", async () => {
    for (const result of [
      await users.get("", never),
      await users.update({ user: draft(), version: undefined, mask: [] }, never),
      await users.delete("x".repeat(65), undefined, never),
    ]) {
      assert.equal(errorOf(result).kind, "invalid");
    }
    assert.deepEqual(repository.calls, []);
  });

  it("changes the fields of the mask and no others", async () => {
    await users.create(draft({ id: "ann", picture: Uint8Array.of(1) }), never);
    const order = { user: draft({ id: "ann", email: "new@x.org", displayName: "New" }), version: 1n };
    const updated = ok(await users.update({ ...order, mask: ["email"] }, never));
    assert.deepEqual([updated.email, updated.displayName, updated.picture], ["new@x.org", "Ann", Uint8Array.of(1)]);
  });

  it("is stale when it is meant for another version, and says which one the user is at", async () => {
    await users.create(draft({ id: "ann" }), never);
    const stale: UserError = { kind: "stale", id: "ann", version: 1n };
    const order = { user: draft({ id: "ann", displayName: "A" }), version: 9n, mask: [] };
    assert.deepEqual(errorOf(await users.update(order, never)), stale);
    assert.deepEqual(errorOf(await users.put(draft({ id: "ann" }), 9n, never)), stale);
    assert.deepEqual(errorOf(await users.delete("ann", 9n, never)), stale);
    assert.deepEqual(await users.delete("ann", 1n, never), { ok: true, value: undefined });
  });

  it("may not take another user's address", async () => {
    await users.create(draft({ id: "ann" }), never);
    await users.create(draft({ id: "bob", email: "bob@x.org" }), never);
    const order = { user: draft({ id: "bob", email: "ann@x.org" }), version: undefined, mask: ["email"] };
    const taken: UserError = { kind: "alreadyExists", field: "email", value: "ann@x.org" };
    assert.deepEqual(errorOf(await users.update(order, never)), taken);
  });

  it("is put only with an id of its own", async () => {
    const error = errorOf(await users.put(draft(), undefined, never));
    assert.ok(error.kind === "invalid");
    assert.deepEqual(
      error.violations.map(({ field }) => field),
      ["user.id"],
    );
  });
});

describe("a store that fails", () => {
  const cause = new Error("disk I/O error at /var/secret");

  it("is told as what failed, with the cause in the log only", async () => {
    repository.failure = cause;
    const calls: [() => Promise<Result<unknown>>, string][] = [
      [() => users.get("ann", never), "failed to fetch user"],
      [() => users.create(draft(), never), "failed to create user"],
      [
        () => users.update({ user: draft({ id: "ann" }), version: undefined, mask: [] }, never),
        "failed to update user",
      ],
      [() => users.put(draft({ id: "ann" }), undefined, never), "failed to store user"],
      [() => users.delete("ann", undefined, never), "failed to delete user"],
      [() => users.import(of(draft()), never), "failed to import users"],
      [() => first(users.list(0, "", never)), "failed to list users"],
      [() => first(users.watch(undefined, never)), "failed to watch users"],
    ];
    for (const [call, what] of calls) {
      assert.deepEqual(errorOf(await call()), { kind: "failed", what });
      const line = recorded.lines.at(-1);
      assert.equal(line?.msg, what);
      assert.match(JSON.stringify(line), /disk I\/O error at \/var\/secret/);
    }
  });

  it("may be told why, where the caller can do something about it", async () => {
    for (const kind of ["unavailable", "busy", "uncertain"] as const) {
      repository.failure = new StoreError(kind, "connect ECONNREFUSED 10.1.2.3:5432");
      assert.deepEqual(errorOf(await users.get("ann", never)), { kind, what: "failed to fetch user" });
      assert.match(JSON.stringify(recorded.lines.at(-1)), /ECONNREFUSED 10.1.2.3:5432/);
    }
  });

  it("is not blamed, and nothing is logged, when it was the caller who went", async () => {
    repository.gate = new Promise(() => {});
    const caller = new AbortController();
    const fetching = users.get("ann", caller.signal);
    const listing = first(users.list(0, "", caller.signal));
    const watching = first(users.watch(undefined, caller.signal));
    caller.abort();
    assert.deepEqual(errorOf(await fetching), { kind: "interrupted" });
    assert.deepEqual(errorOf(await listing), { kind: "interrupted" });
    assert.deepEqual(errorOf(await watching), { kind: "interrupted" });
    assert.deepEqual(recorded.lines, []);
  });
});

describe("listing users", () => {
  beforeEach(async () => {
    for (const id of ["a", "b", "c", "d", "e"]) await users.create(draft({ id, email: `${id}@x.org` }), never);
  });

  async function listed(pageSize: number, token = ""): Promise<{ ids: string; token: string }[]> {
    const pages: { ids: string; token: string }[] = [];
    for await (const page of users.list(pageSize, token, never)) {
      const { users: onPage, nextPageToken } = ok(page);
      pages.push({ ids: onPage.map(({ id }) => id).join(""), token: nextPageToken });
    }
    return pages;
  }

  async function sizes(pageSize: number): Promise<number[]> {
    const result: number[] = [];
    for await (const page of users.list(pageSize, "", never)) result.push(ok(page).users.length);
    return result;
  }

  it("goes through all pages, of which the last has no token", async () => {
    const pages = await listed(2);
    assert.deepEqual(
      pages.map(({ ids }) => ids),
      ["ab", "cd", "e"],
    );
    assert.deepEqual(
      pages.map(({ token }) => token === ""),
      [false, false, true],
    );
  });

  it("goes on after the page whose token it is given, with another page size too", async () => {
    const [firstPage] = await listed(2);
    assert.deepEqual(
      (await listed(5, firstPage?.token)).map(({ ids }) => ids),
      ["cde"],
    );
  });

  it("has one empty page where there is nobody", async () => {
    for (const id of ["a", "b", "c", "d", "e"]) await users.delete(id, undefined, never);
    assert.deepEqual(await listed(0), [{ ids: "", token: "" }]);
  });

  it("has pages of 100 where no size is asked for, and of 1000 at most", async () => {
    const drafts = Array.from({ length: 1_100 }, (_, n) => ({ ...draft({ id: `n${n}` }), email: `n${n}@x.org` }));
    repository = new FakeUserRepository();
    users = newUsers();
    await repository.insert(drafts, NOW, never);
    assert.deepEqual((await sizes(0)).slice(-2), [100, 100]);
    assert.deepEqual(await sizes(2_000_000), [1_000, 100]);
  });

  it("refuses a negative size and a token that it did not give, both at once", async () => {
    for (const token of ["bm90IG91cnM", pageTokenOf("no\u0000id")]) {
      const results: Result<unknown>[] = [];
      for await (const page of users.list(-1, token, never)) results.push(page);
      assert.equal(results.length, 1);
      const error = errorOf(results[0]);
      assert.ok(error.kind === "invalid");
      assert.deepEqual(
        error.violations.map(({ field }) => field),
        ["page_size", "page_token"],
      );
    }
  });
});

describe("importing users", () => {
  it("creates what it can in one transaction and reports the rest by place", async () => {
    await users.create(draft({ id: "ann" }), never);
    repository.calls.length = 0;
    const drafts = of(
      draft({ email: "bob@x.org" }),
      draft({ email: "nobody" }),
      draft({ email: "ANN@x.org" }),
      draft({ id: "ann", email: "other@x.org" }),
      draft({ email: "Bob@x.org" }),
      draft({ email: "cid@x.org" }),
    );
    const report = ok(await users.import(drafts, never));
    assert.deepEqual([report.created, report.failed], [2, 4]);
    assert.deepEqual(
      report.errors.map(({ index, error }) => [index, error.kind === "alreadyExists" ? error.field : error.kind]),
      [
        [1, "invalid"],
        [2, "email"],
        [3, "id"],
        [4, "email"],
      ],
    );
    assert.deepEqual(repository.calls, ["insert"]);
  });

  it("of nobody, or of nobody valid, does not ask the store", async () => {
    assert.deepEqual(ok(await users.import(of(), never)), { created: 0, failed: 0, errors: [] });
    assert.equal(ok(await users.import(of(draft({ email: "" })), never)).failed, 1);
    assert.deepEqual(repository.calls, []);
  });

  it("counts all errors and tells the first 100", async () => {
    const drafts = Array.from({ length: 150 }, () => draft({ email: "" }));
    const report = ok(await users.import(of(...drafts), never));
    assert.deepEqual([report.failed, report.errors.length, report.errors.at(-1)?.index], [150, 100, 99]);
  });

  it("of more than it may hold is refused without reading on, and stores nobody", async () => {
    let asked = 0;
    const endless = async function* () {
      for (;;) yield draft({ email: `n${asked++}@x.org` });
    };
    const error = errorOf(await users.import(endless(), never));
    assert.deepEqual(error, { kind: "tooLarge", what: "an import has at most 10000 users" });
    assert.equal(asked, 10_001);
    assert.deepEqual(repository.calls, []);
  });

  it("stores nobody when its source fails", async () => {
    const broken = async function* () {
      yield draft();
      throw new Error("premature close");
    };
    assert.equal(errorOf(await users.import(broken(), never)).kind, "failed");
    assert.deepEqual(repository.calls, []);
  });
});

async function first<T>(items: AsyncGenerator<Result<T>, void>): Promise<Result<T>> {
  const next = await items.next();
  assert.ok(!next.done);
  return next.value;
}

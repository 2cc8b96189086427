import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type {
  ChangePage,
  PageLimits,
  User,
  UserChange,
  UserRecord,
  UserRepository,
  WriteResult,
} from "../repository/user.ts";
import { until } from "./support/serve.ts";
import { never } from "./support/signals.ts";

const AT = new Date("2030-01-02T03:04:05.678Z");
const LATER = new Date("2030-01-02T03:04:06.789Z");
const PAGE: PageLimits = { items: 100, bytes: 1_000_000 };

export interface RepositoryUnderContract {
  /** A new, empty repository; the contract closes it. */
  readonly open: () => Promise<UserRepository>;
}

/** What `repository/user.ts` promises, as tests. Each store runs them: `repositoryContract("SQLite", { open })`. */
export function repositoryContract(name: string, { open }: RepositoryUnderContract): void {
  /** A test on a repository of its own. */
  const on = (title: string, body: (repository: UserRepository) => Promise<void>): void => {
    it(title, async () => {
      const repository = await open();
      try {
        await body(repository);
      } finally {
        await repository.close();
      }
    });
  };

  describe(`the repository contract, ${name}`, () => {
    on("a user that was inserted is read back with its version and times", async (repository) => {
      const picture = Uint8Array.of(0, 1, 255);
      const inserted = await insertOne(repository, { ...record("ann"), picture });
      assert.deepEqual(inserted, { ...record("ann"), picture, version: 1n, createdAt: AT, updatedAt: AT });
      assert.deepEqual(plain(await repository.get("ann", never)), inserted);
    });

    on("a user that is not there is undefined", async (repository) => {
      assert.equal(await repository.get("nobody", never), undefined);
    });

    on("texts of every script and a long picture come back as they were", async (repository) => {
      const picture = new Uint8Array(3_000_000).map((_, index) => index % 251);
      const inserted = await insertOne(repository, { ...record("ann"), displayName: "Zoë 李 🛶 '\"\\%_", picture });
      assert.deepEqual(plain(await repository.get("ann", never)), inserted);
    });

    on("an id or an address that is taken refuses one insert and not the others", async (repository) => {
      await insertOne(repository, record("ann"));
      const results = await repository.insert(
        [record("ann", "new@x.org"), record("bob", "ANN@x.org"), record("cid"), record("dan", "Cid@X.org")],
        AT,
        never,
      );
      assert.deepEqual(
        results.map((result) => (result.kind === "taken" ? result.field : result.kind)),
        ["id", "email", "stored", "email"],
      );
      assert.deepEqual(await ids(repository), ["ann", "cid"]);
    });

    on("an update replaces the fields that it has and gives a new version", async (repository) => {
      const { version } = await insertOne(repository, record("ann"));
      const updated = stored(await repository.update("ann", { displayName: "Anna" }, version, LATER, never));
      assert.deepEqual(plain(updated), {
        ...record("ann"),
        displayName: "Anna",
        version: 2n,
        createdAt: AT,
        updatedAt: LATER,
      });
      assert.deepEqual(plain(await repository.get("ann", never)), plain(updated));
    });

    on("an update of another version is stale and changes nothing", async (repository) => {
      const before = await insertOne(repository, record("ann"));
      const result = await repository.update("ann", { displayName: "Anna" }, 77n, LATER, never);
      assert.deepEqual(result, { kind: "stale", version: before.version });
      assert.deepEqual(plain(await repository.get("ann", never)), before);
      assert.equal(await repository.revision(never), 1n);
    });

    on("an update of nobody is missing", async (repository) => {
      assert.deepEqual(await repository.update("ann", { displayName: "A" }, undefined, AT, never), { kind: "missing" });
    });

    on("an update may change the case of its own address, and not take another's", async (repository) => {
      await insertOne(repository, record("ann"));
      await insertOne(repository, record("bob"));
      const own = await repository.update("ann", { email: "ANN@x.org" }, undefined, LATER, never);
      assert.equal(stored(own).email, "ANN@x.org");
      const other = await repository.update("ann", { email: "Bob@x.org" }, undefined, LATER, never);
      assert.deepEqual(other, { kind: "taken", field: "email" });
    });

    on("an address is free again when its owner has changed or is deleted", async (repository) => {
      await insertOne(repository, record("ann"));
      await repository.update("ann", { email: "anna@x.org" }, undefined, LATER, never);
      await insertOne(repository, record("bob", "ann@x.org"));
      await repository.delete("bob", undefined, never);
      await insertOne(repository, record("cid", "ann@x.org"));
    });

    on("put creates without an expected version, and overwrites", async (repository) => {
      const created = stored(await repository.put(record("ann"), undefined, AT, never));
      assert.deepEqual(created, { ...record("ann"), version: 1n, createdAt: AT, updatedAt: AT });
      const second = { ...record("ann", "anna@x.org"), displayName: "Anna" };
      const overwritten = stored(await repository.put(second, 1n, LATER, never));
      assert.deepEqual(overwritten, { ...second, version: 2n, createdAt: AT, updatedAt: LATER });
    });

    on("put with a version needs the user to be there in that version", async (repository) => {
      assert.deepEqual(await repository.put(record("ann"), 1n, AT, never), { kind: "missing" });
      await insertOne(repository, record("ann"));
      assert.deepEqual(await repository.put(record("ann"), 9n, AT, never), { kind: "stale", version: 1n });
      await insertOne(repository, record("bob"));
      const taken = { kind: "taken", field: "email" };
      assert.deepEqual(await repository.put(record("ann", "bob@x.org"), undefined, AT, never), taken);
      assert.deepEqual(await repository.put(record("cid", "bob@x.org"), undefined, AT, never), taken);
    });

    on("a deletion needs the user to be there, in the version that is expected", async (repository) => {
      assert.deepEqual(await repository.delete("ann", undefined, never), { kind: "missing" });
      await insertOne(repository, record("ann"));
      assert.deepEqual(await repository.delete("ann", 5n, never), { kind: "stale", version: 1n });
      assert.deepEqual(await repository.delete("ann", 1n, never), { kind: "deleted" });
      assert.equal(await repository.get("ann", never), undefined);
    });

    on("a version is not used again for a user that is created anew", async (repository) => {
      const first = await insertOne(repository, record("ann"));
      await repository.delete("ann", undefined, never);
      const second = await insertOne(repository, record("ann"));
      assert.ok(second.version > first.version);
    });

    on("a list goes through all users in the order of the bytes of their ids, page by page", async (repository) => {
      const unordered = ["b", "A", "a.1", "a-1", "_", "Z", "9", "a"];
      await repository.insert(
        unordered.map((id, index) => record(id, `${index}@x.org`)),
        AT,
        never,
      );
      const pages: string[][] = [];
      let after: string | undefined;
      do {
        const page = await repository.list(after, { items: 3, bytes: 1_000 }, never);
        pages.push(page.users.map(({ id }) => id));
        after = page.next;
      } while (after !== undefined);
      assert.deepEqual(pages, [
        ["9", "A", "Z"],
        ["_", "a", "a-1"],
        ["a.1", "b"],
      ]);
    });

    on("a list that ends with a full page says that this is the last one", async (repository) => {
      await repository.insert([record("a"), record("b")], AT, never);
      const page = await repository.list(undefined, { items: 2, bytes: 1_000 }, never);
      assert.deepEqual([page.users.length, page.next], [2, undefined]);
      assert.deepEqual(await repository.list("b", PAGE, never), { users: [], next: undefined });
    });

    on("a page ends when it has enough bytes, and has one user however large", async (repository) => {
      const picture = new Uint8Array(600);
      await repository.insert(
        ["a", "b", "c", "d"].map((id) => ({ ...record(id), picture })),
        AT,
        never,
      );
      const two = await repository.list(undefined, { items: 10, bytes: 1_000 }, never);
      assert.deepEqual([two.users.length, two.next], [2, "b"]);
      const one = await repository.list("b", { items: 10, bytes: 1 }, never);
      assert.deepEqual([one.users.length, one.next], [1, "c"]);
    });

    on("the revision counts the changes, and nothing that was refused", async (repository) => {
      assert.equal(await repository.revision(never), 0n);
      await insertOne(repository, record("ann"));
      await repository.insert([record("ann")], AT, never);
      await repository.update("ann", { displayName: "A" }, undefined, AT, never);
      await repository.update("ann", { displayName: "A" }, 1n, AT, never);
      await repository.delete("ann", undefined, never);
      assert.equal(await repository.revision(never), 3n);
    });

    on("changes are told each once, in order, in their latest state", async (repository) => {
      await insertOne(repository, record("ann"));
      await insertOne(repository, record("bob"));
      await insertOne(repository, record("cid"));
      await repository.update("ann", { displayName: "Anna" }, undefined, LATER, never);
      await repository.delete("bob", undefined, never);
      assert.deepEqual(told(await repository.changes(0n, PAGE, never)), ["3 put cid", "4 put ann", "5 deleted bob"]);
      assert.deepEqual(told(await repository.changes(3n, PAGE, never)), ["4 put ann", "5 deleted bob"]);
      assert.deepEqual(told(await repository.changes(5n, PAGE, never)), []);
    });

    on("a change carries the user as it is", async (repository) => {
      const user = await insertOne(repository, { ...record("ann"), picture: Uint8Array.of(7) });
      const page = await repository.changes(0n, PAGE, never);
      assert.ok(page.kind === "changes");
      const [change] = page.changes;
      assert.ok(change?.kind === "put");
      assert.deepEqual([change.revision, plain(change.user)], [user.version, user]);
    });

    on("changes come in pages of limited number and size", async (repository) => {
      const picture = new Uint8Array(600);
      await repository.insert(
        ["a", "b", "c"].map((id) => ({ ...record(id), picture })),
        AT,
        never,
      );
      assert.equal(told(await repository.changes(0n, { items: 2, bytes: 10_000 }, never)).length, 2);
      assert.equal(told(await repository.changes(0n, { items: 9, bytes: 1_000 }, never)).length, 2);
      assert.equal(told(await repository.changes(0n, { items: 9, bytes: 1 }, never)).length, 1);
    });

    on("a user that is deleted and created anew is told as both", async (repository) => {
      await insertOne(repository, record("ann"));
      await repository.delete("ann", undefined, never);
      await insertOne(repository, record("ann"));
      assert.deepEqual(told(await repository.changes(0n, PAGE, never)), ["2 deleted ann", "3 put ann"]);
    });

    on("changes after a revision that is still to come are out of range", async (repository) => {
      await insertOne(repository, record("ann"));
      assert.deepEqual(await repository.changes(2n, PAGE, never), { kind: "outOfRange", oldest: 0n, newest: 1n });
    });

    on("a listener is called after a change is visible, until it is taken away", async (repository) => {
      const seen = new Set<bigint>();
      let calls = 0;
      const stop = repository.onChange(() => {
        calls++;
        // It may be called without cause, also while the repository is closed.
        repository.revision(never).then(
          (revision) => seen.add(revision),
          () => {},
        );
      });
      await insertOne(repository, record("ann"));
      await until("the first change is seen", () => seen.has(1n));
      await repository.delete("ann", undefined, never);
      await until("the second change is seen", () => seen.has(2n));
      stop();
      const before = calls;
      await insertOne(repository, record("bob"));
      assert.equal(calls, before);
    });

    on("concurrent updates of one version: one is stored, the others are stale", async (repository) => {
      const { version } = await insertOne(repository, record("ann"));
      const names = ["a", "b", "c", "d", "e"];
      const results = await Promise.all(
        names.map((displayName) => repository.update("ann", { displayName }, version, LATER, never)),
      );
      assert.deepEqual(results.map(({ kind }) => kind).sort(), ["stale", "stale", "stale", "stale", "stored"]);
    });

    on("no method begins when its signal is aborted, and each rejects with the reason", async (repository) => {
      await insertOne(repository, record("ann"));
      const reason = new Error("the caller is gone");
      const aborted = AbortSignal.abort(reason);
      const calls: Promise<unknown>[] = [
        repository.get("ann", aborted),
        repository.insert([record("bob")], AT, aborted),
        repository.update("ann", { displayName: "B" }, undefined, AT, aborted),
        repository.put(record("cid"), undefined, AT, aborted),
        repository.delete("ann", undefined, aborted),
        repository.list(undefined, PAGE, aborted),
        repository.revision(aborted),
        repository.changes(0n, PAGE, aborted),
      ];
      for (const call of calls) await assert.rejects(call, reason);
      assert.equal(await repository.revision(never), 1n);
    });

    on("calls reject after the repository is closed, and closing twice is once", async (repository) => {
      await repository.close();
      await assert.rejects(repository.get("ann", never));
      await repository.close();
    });
  });
}

/** A whole user; its address follows from its id unless it is given. */
export function record(id: string, email = `${id}@x.org`): UserRecord {
  return { id, email, displayName: `Name of ${id}`, picture: new Uint8Array() };
}

async function insertOne(repository: UserRepository, user: UserRecord): Promise<User> {
  const [result] = await repository.insert([user], AT, never);
  assert.ok(result?.kind === "stored", `${user.id}: ${JSON.stringify(result?.kind)}`);
  return result.user;
}

function stored(result: WriteResult): User {
  assert.ok(result.kind === "stored", result.kind);
  return result.user;
}

/** Without the prototype of a picture, which may be that of Buffer. */
function plain(user: User | undefined): User | undefined {
  return user && { ...user, picture: new Uint8Array(user.picture) };
}

async function ids(repository: UserRepository): Promise<string[]> {
  return (await repository.list(undefined, PAGE, never)).users.map(({ id }) => id);
}

function told(page: ChangePage): string[] {
  assert.ok(page.kind === "changes");
  return page.changes.map((change: UserChange) => {
    const id = change.kind === "put" ? change.user.id : change.id;
    return `${change.revision} ${change.kind} ${id}`;
  });
}

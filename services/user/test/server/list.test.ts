import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { record } from "../repository-contract.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { collect, failureOf, serve, until } from "../support/serve.ts";
import { never } from "../support/signals.ts";

const AT = new Date("2031-05-06T07:08:09.010Z");

async function filled(count: number, picture = new Uint8Array()): Promise<FakeUserRepository> {
  const repository = new FakeUserRepository();
  const ids = Array.from({ length: count }, (_, n) => `user-${String(n).padStart(5, "0")}`);
  await repository.insert(
    ids.map((id) => ({ ...record(id), picture })),
    AT,
    never,
  );
  repository.calls.length = 0;
  return repository;
}

describe("ListUsers", () => {
  it("streams all users page by page", async (t) => {
    const { users } = await serve(t, { repository: await filled(25) });
    const pages = await collect(users.listUsers({ pageSize: 10 }));
    assert.deepEqual(
      pages.map((page) => page.users.length),
      [10, 10, 5],
    );
    assert.deepEqual(pages.flatMap((page) => page.users.map(({ id }) => id)).length, 25);
    assert.equal(pages.at(-1)?.nextPageToken, "");
  });

  it("goes on with the token of the last page that was read", async (t) => {
    const { users } = await serve(t, { repository: await filled(25) });
    let token = "";
    for await (const page of users.listUsers({ pageSize: 10 })) {
      token = page.nextPageToken;
      break;
    }
    const rest = await collect(users.listUsers({ pageSize: 10, pageToken: token }));
    assert.equal(rest[0]?.users[0]?.id, "user-00010");
    assert.equal(rest.flatMap((page) => page.users).length, 15);
  });

  it("answers INVALID_ARGUMENT to a token that it did not give", async (t) => {
    const { users } = await serve(t, { repository: await filled(1) });
    const call = collect(users.listUsers({ pageToken: "abc" }));
    const { details } = await failureOf(call, status.INVALID_ARGUMENT);
    assert.equal(details, "page_token is not a token that this service gave");
  });

  it("reads no further ahead than a few pages for a client that does not read", async (t) => {
    const picture = new Uint8Array(300 * 1024);
    const repository = await filled(300, picture);
    const { users } = await serve(t, { repository });
    const stream = users.listUsers({})[Symbol.asyncIterator]();
    await stream.next();
    // What fits into the buffers of both ends is sent; then the store is left alone.
    let asked = 0;
    await until("the server pauses", () => {
      const paused = asked > 0 && repository.calls.length === asked;
      asked = repository.calls.length;
      return paused;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(repository.calls.length < 100, `${repository.calls.length} of 300 pages`);
    let pages = 1;
    while (!(await stream.next()).done) pages++;
    assert.equal(pages, 300);
  });

  it("stops asking the store when the client has cancelled", async (t) => {
    const repository = await filled(1_000);
    const { users } = await serve(t, { repository });
    const caller = new AbortController();
    const reading = collect(users.listUsers({ pageSize: 1 }, { signal: caller.signal }));
    await until("some pages are read", () => repository.calls.length > 3);
    repository.gate = new Promise(() => {});
    caller.abort();
    await failureOf(reading, status.CANCELLED);
    await until("the query is given up", () => repository.interrupted === 1);
  });
});

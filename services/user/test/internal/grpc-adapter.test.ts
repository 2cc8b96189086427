import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { Client, credentials, Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { UserService } from "../../api/gen/user_pb.ts";
import { type Implementation, implement } from "../../internal/grpc-adapter.ts";
import { clientOf } from "../../internal/grpc-client.ts";
import { serviceDefinition } from "../../internal/grpc-definition.ts";
import { GrpcFailure } from "../../internal/grpc-failure.ts";
import { recordedLog } from "../support/log.ts";
import { collect, failureOf, Requests, until } from "../support/serve.ts";

const bug = (): never => {
  throw new TypeError("secret is not a function");
};

/** A service all of whose methods have the same bug; a test replaces the one that it is about. */
const BROKEN: Implementation<typeof UserService> = {
  getUser: async () => bug(),
  createUser: async () => bug(),
  updateUser: async () => bug(),
  deleteUser: async () => bug(),
  listUsers: async () => bug(),
  importUsers: async () => bug(),
  watchUsers: async () => bug(),
  syncUsers: async () => bug(),
};

async function run(t: TestContext, methods: Partial<Implementation<typeof UserService>>) {
  const { log, lines } = recordedLog();
  const server = new Server();
  server.addService(serviceDefinition(UserService), implement(UserService, { ...BROKEN, ...methods }, log));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  t.after(() => {
    channel.close();
    server.forceShutdown();
  });
  return { users: clientOf(UserService, channel), lines };
}

async function* nothing(): AsyncGenerator<never, void> {}

describe("a method that throws", () => {
  it("what is no status is INTERNAL, with the cause in the log and nowhere else, for each kind of method", async (t) => {
    const { users, lines } = await run(t, {});
    const calls: [string, () => Promise<unknown>][] = [
      ["GetUser", () => users.getUser({})],
      ["ListUsers", () => collect(users.listUsers({}))],
      ["ImportUsers", () => users.importUsers(nothing())],
      ["SyncUsers", () => collect(users.syncUsers(nothing()))],
    ];
    for (const [method, call] of calls) {
      assert.equal((await failureOf(call(), status.INTERNAL)).details, "internal error");
      const line = lines.at(-1);
      assert.deepEqual([line?.msg, line?.method], ["method failed", method]);
      assert.match(JSON.stringify(line), /secret is not a function/);
    }
  });

  it("a GrpcFailure ends the call with its code, details and metadata, after the messages before it", async (t) => {
    const metadata = new Metadata();
    metadata.set("why", "because");
    const { users, lines } = await run(t, {
      listUsers: async (_request, send) => {
        for (let n = 0; n < 50; n++) await send({ nextPageToken: String(n) });
        throw new GrpcFailure(status.DATA_LOSS, "gone: 100 %, ä", metadata);
      },
    });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { nextPageToken } of users.listUsers({})) seen.push(nextPageToken);
    })();
    const error = await failureOf(reading, status.DATA_LOSS);
    assert.deepEqual([error.details, error.metadata.get("why")], ["gone: 100 %, ä", ["because"]]);
    assert.equal(seen.length, 50);
    assert.deepEqual(lines, []);
  });

  it("in the middle of the requests still answers with its status", async (t) => {
    const { users } = await run(t, {
      importUsers: async (requests) => {
        for await (const _ of requests) throw new GrpcFailure(status.RESOURCE_EXHAUSTED, "enough");
        return {};
      },
    });
    const requests = new Requests<object>();
    requests.push({}, {}, {});
    assert.equal((await failureOf(users.importUsers(requests), status.RESOURCE_EXHAUSTED)).details, "enough");
  });
});

describe("a method that sends", () => {
  it("waits while its client does not read", async (t) => {
    let sent = 0;
    const { users } = await run(t, {
      listUsers: async (_request, send, { signal }) => {
        const users = [{ picture: new Uint8Array(64 * 1024) }];
        for (; !signal.aborted; sent++) await send({ users });
      },
    });
    const stream = users.listUsers({})[Symbol.asyncIterator]();
    await stream.next();
    let before = -1;
    await until("sending pauses", () => {
      const paused = before === sent;
      before = sent;
      return paused;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.ok(sent < 200, `${sent} messages of 64 KiB`);
    const paused = sent;
    for (let n = 0; n < 60; n++) await stream.next();
    await until("sending goes on", () => sent > paused);
    await stream.return?.();
  });

  it("is told by a rejection when the call is over", async (t) => {
    const ended = Promise.withResolvers<unknown>();
    const { users } = await run(t, {
      watchUsers: async (_request, send) => {
        try {
          for (;;) await send({});
        } catch (error) {
          ended.resolve(error);
          throw error;
        }
      },
    });
    const stream = users.watchUsers({})[Symbol.asyncIterator]();
    await stream.next();
    await stream.return?.();
    const error = await ended.promise;
    assert.ok(error instanceof Error);
  });
});

describe("a client's stream of requests", () => {
  it("that throws cancels the call and rejects with what was thrown", async (t) => {
    const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { users } = await run(t, {
      importUsers: async (requests, { signal }) => {
        signal.addEventListener("abort", () => over.resolve());
        for await (const _ of requests) begun.resolve();
        return {};
      },
    });
    const broken = async function* () {
      yield {};
      await begun.promise;
      throw new Error("the source broke");
    };
    await assert.rejects(users.importUsers(broken()), /the source broke/);
    await over.promise;
  });

  it("waits while the server does not read", async (t) => {
    const gate = Promise.withResolvers<void>();
    const { users } = await run(t, {
      importUsers: async (requests) => {
        await gate.promise;
        return { createdCount: BigInt((await collect(requests)).length) };
      },
    });
    let made = 0;
    const requests = async function* () {
      for (; made < 300; made++) yield { user: { picture: new Uint8Array(64 * 1024) } };
    };
    const importing = users.importUsers(requests());
    await new Promise((resolve) => setTimeout(resolve, 150));
    assert.ok(made > 0 && made < 200, `${made} requests of 64 KiB`);
    gate.resolve();
    assert.equal((await importing).createdCount, 300n);
  });
});

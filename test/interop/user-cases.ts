import { createHash, randomUUID } from "node:crypto";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Client, credentials, type Metadata, type ServiceError } from "@grpc/grpc-js";
import { BadRequestSchema } from "../../services/user/api/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../services/user/api/gen/google/rpc/status_pb.ts";
import { Health } from "../../services/user/api/gen/grpc/health/v1/health_pb.ts";
import {
  type SyncUsersRequestSchema,
  type User,
  type UserChange,
  UserSchema,
  UserService,
  type WatchUsersRequestSchema,
} from "../../services/user/api/gen/user_pb.ts";
import { clientOf, type ServiceClient } from "../../services/user/internal/grpc-client.ts";
import { Requests } from "../../services/user/test/support/serve.ts";

type Seen = Record<string, unknown>;
type SyncRequest = MessageInitShape<typeof SyncUsersRequestSchema>;

const PATIENCE = 20_000;
const FUTURE = 1n << 40n;
const MESSAGE_LIMIT = 64 * 1024 * 1024;

/**
 * Calls a user service case by case, and tells what it saw of each call. Its users have ids and addresses that begin with a
 * name of its own, which is not shown.
 */
export class UserCaller {
  readonly #users: ServiceClient<typeof UserService>;
  readonly #health: ServiceClient<typeof Health>;
  readonly #channel: Client;
  readonly #name = `ts${randomUUID().slice(0, 13)}-`;

  constructor(address: string) {
    this.#channel = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": MESSAGE_LIMIT,
      "grpc.max_send_message_length": MESSAGE_LIMIT,
    });
    this.#users = clientOf(UserService, this.#channel);
    this.#health = clientOf(Health, this.#channel);
  }

  close(): void {
    this.#channel.close();
  }

  run(name: string): Promise<Seen[]> {
    const run = this.#cases[name];
    if (run === undefined) throw new Error(`no case is called ${name}`);
    return run();
  }

  readonly #cases: Readonly<Record<string, () => Promise<Seen[]>>> = {
    unary: async () => {
      const ann = this.#user("ann");
      const answer = async (call: (options: object) => Promise<{ user?: User | undefined }>): Promise<Seen> => {
        let instances = 0;
        const onHeader = (header: Metadata): void => {
          instances = header.get("user-instance").length;
        };
        const answered = await this.#settled(call({ onHeader, timeout: PATIENCE }));
        if ("failed" in answered) return answered.failed;
        return { code: 0, user: this.#shown(answered.value.user), instance: instances === 1 };
      };
      const get = (): Promise<Seen> => answer((options) => this.#users.getUser({ id: ann.id }, options));
      const created = await answer((options) => this.#users.createUser({ user: ann }, options));
      const got = await get();
      const { user } = await this.#users.getUser({ id: ann.id });
      const changed = { id: ann.id, email: "ignored@x.org", displayName: "Changed", version: user?.version ?? 0n };
      const updated = await answer((options) =>
        this.#users.updateUser({ user: changed, updateMask: { paths: ["display_name"] } }, options),
      );
      const deleted = await this.#end(this.#users.deleteUser({ id: ann.id }));
      return [created, got, updated, deleted, await get()];
    },

    statuses: async () => {
      const users = this.#users;
      const ann = this.#user("ann");
      await users.createUser({ user: ann });
      const stale = { ...ann, version: FUTURE };
      const calls: (() => Promise<unknown>)[] = [
        () => users.createUser({ user: { ...ann, email: `${this.#name}other@x.org` } }),
        () => users.createUser({ user: { ...this.#user("bob"), email: `${this.#name}ANN@x.org` } }),
        () => users.createUser({ user: { id: "a/b", email: "nobody", displayName: " " } }),
        () => users.updateUser({ user: stale, updateMask: { paths: ["*"] } }),
        () => users.updateUser({ user: this.#user("nobody"), updateMask: { paths: ["email"] } }),
        () => users.updateUser({ user: { id: ann.id } }),
        () => users.updateUser({ user: ann, updateMask: { paths: ["version", "picture"] } }),
        () => users.getUser({ id: "a b" }),
        () => users.deleteUser({ id: ann.id, version: FUTURE }),
        () => firstOf(users.listUsers({ pageSize: -1, pageToken: "bm90IG91cnM" })),
        () => firstOf(users.watchUsers({ afterRevision: FUTURE })),
      ];
      const seen: Seen[] = [];
      for (const call of calls) seen.push(await this.#end(call()));
      return seen;
    },

    large: async () => {
      const picture = new Uint8Array(6 * 1024 * 1024).map((_, at) => (at * 7) % 251);
      const user = { ...this.#user("ann"), picture };
      await this.#users.createUser({ user });
      const got = (await this.#users.getUser({ id: user.id })).user?.picture ?? new Uint8Array();
      return [{ octets: got.length, hash: createHash("sha256").update(got).digest("hex") }];
    },

    many: async () => {
      let [created, found] = [0, 0];
      const one = async (at: number): Promise<void> => {
        const user = this.#user(`many${at}`);
        await this.#users.createUser({ user });
        created++;
        const got = await this.#users.getUser({ id: user.id });
        if (got.user?.id === user.id) found++;
      };
      await Promise.all(Array.from({ length: 200 }, (_, at) => one(at).catch(() => {})));
      return [{ created, found }];
    },

    health: async () => {
      const seen: Seen[] = [];
      for (const service of ["", "user.v1.UserService", "nobody"]) {
        const answer = await this.#settled(this.#health.check({ service }));
        seen.push("failed" in answer ? answer.failed : { code: 0, status: answer.value.status });
      }
      return [...seen, { status: (await firstOf(this.#health.watch({}))).status }];
    },

    list: async () => {
      await this.#users.importUsers(
        requestsOf(Array.from({ length: 25 }, (_, at) => this.#user(`${at}`.padStart(2, "0")))),
      );
      const pagesFrom = async (pageToken: string): Promise<{ pages: string[][]; token: string }> => {
        const pages: string[][] = [];
        let token = "";
        for await (const page of this.#users.listUsers({ pageSize: 10, pageToken }, { timeout: PATIENCE })) {
          if (pages.length === 0) token = page.nextPageToken;
          pages.push(page.users.map(({ id }) => id));
        }
        return { pages, token };
      };
      const all = await pagesFrom("");
      const rest = await pagesFrom(all.token);
      const ids = all.pages.flat().filter((id) => id.startsWith(this.#name));
      const resumed = rest.pages.flat().join() === all.pages.slice(1).flat().join();
      return [{ ids: ids.map((id) => id.slice(this.#name.length)), resumed }];
    },

    import: async () => {
      const ann = this.#user("ann");
      const invalid = { ...this.#user("bad"), email: "nobody" };
      const sameEmail = { ...this.#user("bob"), email: `${this.#name}Ann@x.org` };
      const unnamed = { ...this.#user("unnamed"), id: "" };
      const answer = await this.#users.importUsers(requestsOf([ann, ann, invalid, sameEmail, unnamed]));
      const errors = answer.errors.map(({ index, status }) => ({ index: Number(index), code: status?.code }));
      return [{ created: Number(answer.createdCount), failed: Number(answer.failedCount), errors }];
    },

    watch: async () => {
      const bob = this.#user("bob");
      return [
        await this.#follow({}, [
          () => this.#users.createUser({ user: bob }),
          () => this.#users.updateUser({ user: { id: bob.id, displayName: "Changed" } }),
          () => this.#users.deleteUser({ id: bob.id }),
        ]),
      ];
    },

    resume: async () => {
      const { user: first } = await this.#users.createUser({ user: this.#user("ann") });
      for (const name of ["bob", "cid"]) await this.#users.createUser({ user: this.#user(name) });
      await this.#users.deleteUser({ id: `${this.#name}bob` });
      const nothing = async (): Promise<void> => {};
      return [await this.#follow({ afterRevision: first?.version ?? 0n }, [nothing, nothing])];
    },

    sync: async () => {
      const requests = new Requests<SyncRequest>();
      const upsert = (operationId: string, user: MessageInitShape<typeof UserSchema>): void =>
        requests.push({ request: { case: "upsert", value: { operationId, user } } });
      const { email } = this.#user("ann");
      const steps: (() => unknown)[] = [
        () => requests.push({ request: { case: "start", value: {} } }),
        () => upsert("one", this.#user("ann")),
        () => this.#users.createUser({ user: this.#user("other") }),
        () => upsert("two", { ...this.#user("nobody"), version: FUTURE }),
        () => upsert("three", { ...this.#user("bob"), email }),
      ];
      const responses = this.#users.syncUsers(requests, { timeout: PATIENCE })[Symbol.asyncIterator]();
      const events: string[] = [];
      for (const step of steps) {
        await step();
        const { response } = (await responses.next()).value ?? {};
        if (response?.case === "change") events.push(this.#event(response.value));
        if (response?.case !== "ack") continue;
        const { operationId, result } = response.value;
        events.push(`ack ${operationId} ${result.case === "error" ? result.value.code : 0}`);
      }
      requests.end();
      return [{ events, ended: (await responses.next()).done === true }];
    },

    deadline: async () => {
      const events: string[] = [];
      const watching = async (): Promise<void> => {
        for await (const { change } of this.#users.watchUsers({}, { timeout: 500 })) events.push(this.#event(change));
      };
      return [{ events, code: (await this.#end(watching())).code }];
    },
  };

  /** Reads changes: the first one, and one after each step; it then cancels the stream. */
  async #follow(
    request: MessageInitShape<typeof WatchUsersRequestSchema>,
    steps: readonly (() => Promise<unknown>)[],
  ): Promise<Seen> {
    const caller = new AbortController();
    const options = { signal: caller.signal, timeout: PATIENCE };
    const changes = this.#users.watchUsers(request, options)[Symbol.asyncIterator]();
    const events: string[] = [];
    const revisions: bigint[] = [];
    for (const step of [async () => {}, ...steps]) {
      await step();
      const { change } = (await changes.next()).value ?? {};
      events.push(this.#event(change));
      revisions.push(change?.revision ?? 0n);
    }
    caller.abort();
    const { code } = await this.#end(changes.next());
    const growing = revisions.every((revision, at) => at === 0 || revision > (revisions[at - 1] ?? 0n));
    return { events, growing, code };
  }

  #user(name: string): User {
    const id = this.#name + name;
    return create(UserSchema, { id, email: `${id}@x.org`, displayName: name, picture: Uint8Array.of(0, 1, 255) });
  }

  /** A user as it is told. */
  #shown(user: User | undefined): Seen {
    const { id = "", email = "", displayName: name, picture, version = 0n, createTime, updateTime } = user ?? {};
    const plain = (text: string): string => (text.startsWith(this.#name) ? text.slice(this.#name.length) : text);
    const dated = version > 0n && createTime !== undefined && updateTime !== undefined;
    return { id: plain(id), email: plain(email), name, picture: picture?.length, dated };
  }

  /** A change as it is told. */
  #event(change: UserChange | undefined): string {
    const { case: kind, value } = change?.change ?? {};
    if (kind === undefined || value === undefined) return "start";
    const id = value.id.slice(this.#name.length);
    return "displayName" in value ? `put ${id} ${value.displayName}` : `deleted ${id}`;
  }

  async #settled<T>(call: Promise<T>): Promise<{ value: T } | { failed: Seen }> {
    try {
      return { value: await call };
    } catch (error) {
      if (!isServiceError(error)) throw error;
      return { failed: this.#failure(error) };
    }
  }

  /** How a call ended, as it is told. */
  async #end(call: Promise<unknown>): Promise<Seen> {
    const settled = await this.#settled(call);
    return "failed" in settled ? settled.failed : { code: 0 };
  }

  #failure({ code, details, metadata }: ServiceError): Seen {
    const [bytes] = metadata.get("grpc-status-details-bin");
    const fields = Buffer.isBuffer(bytes)
      ? fromBinary(StatusSchema, bytes).details.flatMap(
          (detail) => anyUnpack(detail, BadRequestSchema)?.fieldViolations.map(({ field }) => field) ?? [],
        )
      : undefined;
    const masked = details.toLowerCase().replaceAll(this.#name, "~").replaceAll(/\d+/g, "#");
    return { code, details: masked, ...(fields === undefined ? {} : { fields }) };
  }
}

async function* requestsOf(users: readonly User[]): AsyncGenerator<{ user: User }, void> {
  for (const user of users) yield { user };
}

async function firstOf<T>(messages: AsyncIterable<T>): Promise<T> {
  for await (const message of messages) return message;
  throw new Error("a stream without a message");
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error && "metadata" in error;
}

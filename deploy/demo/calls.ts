import { create } from "@bufbuild/protobuf";
import { Client, credentials, type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { UserSchema, UserService } from "../../services/user/api/gen/user_pb.ts";
import { clientOf } from "../../services/user/internal/grpc-client.ts";

/** What became of the calls of one kind. */
export interface Row {
  readonly kind: string;
  readonly method: string;
  calls: number;
  answered: number;
  /** Calls a replica answered. */
  readonly by: Map<string, number>;
  readonly times: number[];
  lastError: string | undefined;
}

const EXPECTED_FAILURE = Symbol("a failure that the call is about");

/** Makes some hundred calls of every kind through a sidecar at `address`, as a plain gRPC client would. */
export async function makeCalls(address: string, rounds: number): Promise<Row[]> {
  const channel = new Client(address, credentials.createInsecure(), { "grpc.default_authority": "user" });
  const users = clientOf(UserService, channel);
  const rows: Row[] = [];
  const run = ids(Date.now().toString(36));
  const row = (kind: string, method: string): Row => {
    const made: Row = { kind, method, calls: 0, answered: 0, by: new Map(), times: [], lastError: undefined };
    rows.push(made);
    return made;
  };
  const unary = [
    row("unary", "CreateUser"),
    row("unary", "GetUser"),
    row("unary", "UpdateUser"),
    row("unary, NOT_FOUND", "GetUser"),
    row("unary", "DeleteUser"),
  ] as const;
  const list = row("server stream", "ListUsers");
  const imports = row("client stream", "ImportUsers");
  const watch = row("server stream, cancelled", "WatchUsers");
  const sync = row("bidirectional", "SyncUsers");

  for (let at = 0; at < rounds; at++) {
    const id = run(at);
    const user = create(UserSchema, { id, email: `${id}@example.com`, displayName: `User ${at}` });
    await call(unary[0], (options) => users.createUser({ user }, options));
    await call(unary[1], (options) => users.getUser({ id }, options));
    await call(unary[2], (options) =>
      users.updateUser({ user: { ...user, displayName: "Changed" }, updateMask: { paths: ["display_name"] } }, options),
    );
    await call(unary[3], (options) => users.getUser({ id: `${id}-missing` }, options).catch(expect(status.NOT_FOUND)));
    if (at % 5 === 0) {
      await call(list, (options) => drainAll(users.listUsers({ pageSize: 50 }, options)));
      await call(imports, (options) => users.importUsers(imported(id, 20), options));
      await call(sync, (options) => drainAll(users.syncUsers(upserts(id, 10), options)));
      await call(watch, (options) => firstOf(users.watchUsers({ afterRevision: 0n }, options)));
    }
    await call(unary[4], (options) => users.deleteUser({ id }, options));
  }
  channel.close();
  return rows;
}

interface Options {
  readonly timeout: number;
  readonly onHeader: (metadata: Metadata) => void;
  readonly onTrailer: (metadata: Metadata) => void;
}

async function call(row: Row, make: (options: Options) => Promise<unknown>): Promise<void> {
  row.calls++;
  let replica: string | undefined;
  const note = (metadata: Metadata): void => {
    replica ??= metadata.get("user-instance")[0]?.toString();
  };
  const began = performance.now();
  try {
    await make({ timeout: 10_000, onHeader: note, onTrailer: note });
    row.answered++;
    row.times.push(performance.now() - began);
    if (replica !== undefined) row.by.set(replica, (row.by.get(replica) ?? 0) + 1);
  } catch (error) {
    row.lastError = error instanceof Error ? error.message : String(error);
  }
}

/** An answer with that status is what the call is about. */
function expect(code: status): (error: ServiceError) => symbol {
  return (error) => {
    if (error.code === code) return EXPECTED_FAILURE;
    throw error;
  };
}

function ids(prefix: string): (at: number) => string {
  return (at) => `demo-${prefix}-${at}`;
}

async function drainAll(messages: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of messages) count++;
  if (count === 0) throw new Error("a stream without a message");
  return count;
}

/** Reads one message and gives the rest up, which cancels the call. */
async function firstOf(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages) return;
  throw new Error("a stream without a message");
}

async function* imported(prefix: string, count: number) {
  for (let at = 0; at < count; at++)
    yield { user: { id: `${prefix}-i${at}`, email: `${prefix}-i${at}@example.com`, displayName: `Imported ${at}` } };
}

async function* upserts(prefix: string, count: number) {
  for (let at = 0; at < count; at++) {
    const user = { id: `${prefix}-s${at}`, email: `${prefix}-s${at}@example.com`, displayName: `Synced ${at}` };
    yield { request: { case: "upsert" as const, value: { operationId: String(at), user } } };
  }
}

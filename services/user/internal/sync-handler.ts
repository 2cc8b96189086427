import type { MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { SyncUpsert, SyncUsersRequest, SyncUsersResponseSchema } from "../api/gen/user_pb.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import type { Send } from "./sender.ts";
import { statusOf, stoppingFailure, unwrapItem } from "./status-of.ts";
import { changeOf, draftOf, versionOf } from "./user-message.ts";
import { UserSync } from "./user-sync.ts";
import type { Users } from "./users.ts";

type Response = MessageInitShape<typeof SyncUsersResponseSchema>;

/**
 * One SyncUsers call: upserts are stored and acknowledged one after the other, while changes of others go out.
 * It ends when the client has half-closed, or with a failure of the changes; never in the middle of an upsert.
 */
export async function syncUsers(
  users: Users,
  requests: AsyncIterable<SyncUsersRequest>,
  send: Send<Response>,
  signal: AbortSignal,
  stopping: AbortSignal,
): Promise<void> {
  const sync = new UserSync(users);
  const messages = requests[Symbol.asyncIterator]();
  const first = await unlessStopping(messages.next(), stopping);
  if (first.done) return;
  const start = first.value.request.case === "start" ? first.value.request.value : undefined;

  const over = new AbortController();
  const changes = sync.remoteChanges(start?.afterRevision, AbortSignal.any([signal, stopping, over.signal]));
  const sendNextChange = async (): Promise<boolean> => {
    const next = await changes.next();
    if (next.done) return false;
    await send({ response: { case: "change", value: changeOf(unwrapItem(next.value, stopping)) } });
    return true;
  };
  // Where the changes begin goes out before anything is stored.
  await sendNextChange();

  let upserting: Promise<void> = Promise.resolve();
  const acknowledgeAll = async () => {
    for (let next = start ? await messages.next() : first; !next.done; next = await messages.next()) {
      if (over.signal.aborted) return;
      upserting = acknowledge(sync, upsertOf(next.value), send, signal);
      await upserting;
    }
  };
  const forwardChanges = async () => {
    while (await sendNextChange());
  };
  const forwarding = forwardChanges();
  try {
    await Promise.race([acknowledgeAll(), forwarding]);
  } finally {
    over.abort();
    await Promise.allSettled([upserting, forwarding]);
  }
}

async function acknowledge(
  sync: UserSync,
  upsert: SyncUpsert,
  send: Send<Response>,
  signal: AbortSignal,
): Promise<void> {
  const stored = await sync.upsert(draftOf(upsert.user), versionOf(upsert.user?.version), signal);
  const { operationId } = upsert;
  const result = stored.ok
    ? ({ case: "version", value: stored.value.version } as const)
    : ({ case: "error", value: statusOf(stored.error) } as const);
  await send({ response: { case: "ack", value: { operationId, result } } });
}

async function unlessStopping<T>(awaited: Promise<T>, stopping: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const onAbort = () => stopped.reject(stoppingFailure());
  if (stopping.aborted) onAbort();
  stopping.addEventListener("abort", onAbort);
  try {
    return await Promise.race([awaited, stopped.promise]);
  } finally {
    stopping.removeEventListener("abort", onAbort);
  }
}

function upsertOf({ request }: SyncUsersRequest): SyncUpsert {
  if (request.case === "upsert") return request.value;
  const wrong = request.case === "start" ? "start must be the first message" : "a message is neither start nor upsert";
  throw new GrpcFailure(status.INVALID_ARGUMENT, wrong);
}

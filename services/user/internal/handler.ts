import type { ImportUsersRequest, UserService } from "../api/gen/user_pb.ts";
import type { Implementation } from "./grpc-adapter.ts";
import { statusOf, unwrap, unwrapItem } from "./status-of.ts";
import { syncUsers } from "./sync-handler.ts";
import type { UserDraft } from "./user-draft.ts";
import { changeOf, draftOf, messageOf, versionOf } from "./user-message.ts";
import type { Users } from "./users.ts";

/**
 * `user.v1.UserService`: nothing but maps between protobuf and the domain.
 *
 * @param stopping aborted when the server is about to stop. Streams without an end of their own are then ended with
 *   UNAVAILABLE, so that their callers go on at another replica from where they are.
 */
export function userServiceHandler(users: Users, stopping: AbortSignal): Implementation<typeof UserService> {
  return {
    async getUser({ id }, { signal }) {
      return { user: messageOf(unwrap(await users.get(id, signal))) };
    },

    async createUser({ user }, { signal }) {
      return { user: messageOf(unwrap(await users.create(draftOf(user), signal))) };
    },

    async updateUser({ user, updateMask }, { signal }) {
      const order = { user: draftOf(user), version: versionOf(user?.version), mask: updateMask?.paths ?? [] };
      return { user: messageOf(unwrap(await users.update(order, signal))) };
    },

    async deleteUser({ id, version }, { signal }) {
      unwrap(await users.delete(id, versionOf(version), signal));
      return {};
    },

    async listUsers({ pageSize, pageToken }, send, { signal }) {
      for await (const page of users.list(pageSize, pageToken, signal)) {
        const { users: listed, nextPageToken } = unwrap(page);
        await send({ users: listed.map(messageOf), nextPageToken });
      }
    },

    async importUsers(requests, { signal }) {
      const report = unwrap(await users.import(draftsOf(requests), signal));
      return {
        createdCount: BigInt(report.created),
        failedCount: BigInt(report.failed),
        errors: report.errors.map(({ index, error }) => ({ index: BigInt(index), status: statusOf(error) })),
      };
    },

    async watchUsers({ afterRevision }, send, { signal }) {
      for await (const item of users.watch(afterRevision, AbortSignal.any([signal, stopping]))) {
        await send({ change: changeOf(unwrapItem(item, stopping)) });
      }
    },

    async syncUsers(requests, send, { signal }) {
      await syncUsers(users, requests, send, signal, stopping);
    },
  };
}

async function* draftsOf(requests: AsyncIterable<ImportUsersRequest>): AsyncGenerator<UserDraft, void> {
  for await (const { user } of requests) yield draftOf(user);
}

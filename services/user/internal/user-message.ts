import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { UserChangeSchema, User as UserMessage, UserSchema } from "../api/gen/user_pb.ts";
import type { User } from "../repository/user.ts";
import type { UserDraft } from "./user-draft.ts";
import type { FeedItem } from "./users.ts";

/** A user as it goes out. */
export function messageOf(user: User): MessageInitShape<typeof UserSchema> {
  const { id, email, displayName, picture, version, createdAt, updatedAt } = user;
  const createTime = timestampFromDate(createdAt);
  return { id, email, displayName, picture, version, createTime, updateTime: timestampFromDate(updatedAt) };
}

/** A user as it came in: what the server sets is left out. */
export function draftOf(user: UserMessage | undefined): UserDraft {
  const { id = "", email = "", displayName = "", picture = new Uint8Array() } = user ?? {};
  return { id, email, displayName, picture };
}

/** The version that a caller expects; 0, as protobuf writes an absent one, is any. */
export function versionOf(version: bigint | undefined): bigint | undefined {
  return version === 0n ? undefined : version;
}

/** A change as it goes out; the start of a feed is one without a change in it. */
export function changeOf(item: FeedItem): MessageInitShape<typeof UserChangeSchema> {
  const { revision } = item;
  switch (item.kind) {
    case "start":
      return { revision };
    case "put":
      return { revision, change: { case: "put", value: messageOf(item.user) } };
    case "deleted":
      return { revision, change: { case: "deleted", value: { id: item.id } } };
  }
}

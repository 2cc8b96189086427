import type { User } from "../repository/user.ts";
import type { UserDraft } from "./user-draft.ts";
import type { Result } from "./user-error.ts";
import type { FeedItem, Users } from "./users.ts";

/** One client that keeps a copy in step: it hears of all changes but its own. */
export class UserSync {
  readonly #users: Users;
  /** Revisions that this client made and the feed has not passed, in ascending order. */
  readonly #own = new Set<bigint>();
  #pending: Promise<unknown> = Promise.resolve();

  constructor(users: Users) {
    this.#users = users;
  }

  /** Stores what the client changed. The next one is called when this one is done. */
  async upsert(draft: UserDraft, version: bigint | undefined, signal: AbortSignal): Promise<Result<User>> {
    const stored = this.#users.put(draft, version, signal).then((result) => {
      if (result.ok) this.#own.add(result.value.version);
      return result;
    });
    this.#pending = stored;
    return stored;
  }

  /** As `Users.watch`, without the changes of this client. */
  async *remoteChanges(after: bigint | undefined, signal: AbortSignal): AsyncGenerator<Result<FeedItem>, void> {
    for await (const item of this.#users.watch(after, signal)) {
      // The feed may see a change before `upsert` knows that it was ours.
      await this.#pending;
      if (!item.ok || item.value.kind === "start" || !this.#isOwn(item.value.revision)) yield item;
    }
  }

  #isOwn(revision: bigint): boolean {
    const own = this.#own.has(revision);
    for (const passed of this.#own) {
      if (passed > revision) break;
      this.#own.delete(passed);
    }
    return own;
  }
}

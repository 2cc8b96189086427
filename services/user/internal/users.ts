import { randomUUIDv7 } from "node:crypto";
import type { Logger } from "pino";
import { StoreError } from "../repository/store-error.ts";
import type { PageLimits, User, UserChange, UserRepository, WriteResult } from "../repository/user.ts";
import { changeFeed } from "./change-feed.ts";
import { idOfPageToken, pageTokenOf } from "./page-token.ts";
import { checkDraft, checkId, patchOf, type UserDraft } from "./user-draft.ts";
import { failure, type Result, success, takenError } from "./user-error.ts";
import { collectDrafts, type ImportReport, importUsers, MAX_IMPORT } from "./user-import.ts";

const PAGE_ITEMS = 100;
const PAGE_ITEMS_MAX = 1_000;
/** Pictures in one page of a list; a page is one message, and several wait in a stream to a slow reader. */
const PAGE_BYTES = 256 * 1024;

/** What the operations on users need; clock and ids are given in tests. */
export interface UsersOptions {
  readonly repository: UserRepository;
  readonly log: Logger;
  readonly now?: () => Date;
  readonly newId?: () => string;
  /** How many users one import may have; default 10,000. */
  readonly maxImport?: number;
}

/** What an update asks for: the fields of `mask` are taken from `user`. */
export interface UpdateOrder {
  readonly user: UserDraft;
  /** undefined: whatever version the user is at. */
  readonly version: bigint | undefined;
  readonly mask: readonly string[];
}

/** One page of a list, in the order of ids. */
export interface ListedPage {
  readonly users: readonly User[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** A change, or first of all the revision at which the following of changes begins. */
export type FeedItem = UserChange | { readonly kind: "start"; readonly revision: bigint };

/** What can be done with users. Methods do not throw: whatever goes wrong is a result. */
export class Users {
  readonly #repository: UserRepository;
  readonly #log: Logger;
  readonly #now: () => Date;
  readonly #newId: () => string;
  readonly #maxImport: number;

  constructor(options: UsersOptions) {
    this.#repository = options.repository;
    this.#log = options.log;
    this.#now = options.now ?? (() => new Date());
    this.#newId = options.newId ?? (() => randomUUIDv7());
    this.#maxImport = options.maxImport ?? MAX_IMPORT;
  }

  async get(id: string, signal: AbortSignal): Promise<Result<User>> {
    const violations = checkId(id, "id");
    if (violations.length > 0) return failure({ kind: "invalid", violations });
    return this.#guard("fetch user", signal, async () => {
      const user = await this.#repository.get(id, signal);
      return user ? success(user) : failure({ kind: "notFound", id });
    });
  }

  async create(draft: UserDraft, signal: AbortSignal): Promise<Result<User>> {
    const violations = checkDraft(draft);
    if (violations.length > 0) return failure({ kind: "invalid", violations });
    const record = { ...draft, id: draft.id || this.#newId() };
    return this.#guard("create user", signal, async () => {
      const [result] = await this.#repository.insert([record], this.#now(), signal);
      if (result === undefined) throw new Error("the store answered nothing for one user");
      return result.kind === "stored" ? success(result.user) : failure(takenError(record, result.field));
    });
  }

  async update(order: UpdateOrder, signal: AbortSignal): Promise<Result<User>> {
    const { id } = order.user;
    const { patch, violations: inFields } = patchOf(order.user, order.mask);
    const violations = [...checkId(id, "user.id"), ...inFields];
    if (violations.length > 0) return failure({ kind: "invalid", violations });
    return this.#guard("update user", signal, async () =>
      written(order.user, await this.#repository.update(id, patch, order.version, this.#now(), signal)),
    );
  }

  /** Creates or overwrites; with a version, only what is in that version. */
  async put(draft: UserDraft, version: bigint | undefined, signal: AbortSignal): Promise<Result<User>> {
    const violations = [...checkId(draft.id, "user.id"), ...checkDraft({ ...draft, id: "" })];
    if (violations.length > 0) return failure({ kind: "invalid", violations });
    return this.#guard("store user", signal, async () =>
      written(draft, await this.#repository.put(draft, version, this.#now(), signal)),
    );
  }

  async delete(id: string, version: bigint | undefined, signal: AbortSignal): Promise<Result<void>> {
    const violations = checkId(id, "id");
    if (violations.length > 0) return failure({ kind: "invalid", violations });
    return this.#guard("delete user", signal, async () => {
      const result = await this.#repository.delete(id, version, signal);
      switch (result.kind) {
        case "deleted":
          return success(undefined);
        case "missing":
          return failure({ kind: "notFound", id });
        case "stale":
          return failure({ kind: "stale", id, version: result.version });
      }
    });
  }

  /** Creates all that can be created, in one transaction, when the last draft has come. */
  async import(drafts: AsyncIterable<UserDraft>, signal: AbortSignal): Promise<Result<ImportReport>> {
    return this.#guard("import users", signal, async () => {
      const collected = await collectDrafts(drafts, this.#maxImport);
      if (!collected.ok) return collected;
      return success(await importUsers(this.#repository, collected.value, this.#newId, this.#now(), signal));
    });
  }

  /** All users from a page on, page by page; ends after the first failure. */
  async *list(pageSize: number, pageToken: string, signal: AbortSignal): AsyncGenerator<Result<ListedPage>, void> {
    const after = pageToken === "" ? undefined : idOfPageToken(pageToken);
    const violations = [
      ...(pageSize < 0 ? [{ field: "page_size", description: "must not be negative" }] : []),
      ...(pageToken !== "" && (after === undefined || checkId(after, "page_token").length > 0)
        ? [{ field: "page_token", description: "is not a token that this service gave" }]
        : []),
    ];
    if (violations.length > 0) return yield failure({ kind: "invalid", violations });
    const limits: PageLimits = { items: Math.min(pageSize || PAGE_ITEMS, PAGE_ITEMS_MAX), bytes: PAGE_BYTES };
    let cursor = after;
    do {
      const page = await this.#guard("list users", signal, async () =>
        success(await this.#repository.list(cursor, limits, signal)),
      );
      if (!page.ok) return yield page;
      const { users, next } = page.value;
      yield success({ users, nextPageToken: next === undefined ? "" : pageTokenOf(next) });
      cursor = next;
    } while (cursor !== undefined);
  }

  /** Where it starts, then every change after that, until the signal is aborted; ends after the first failure. */
  async *watch(afterRevision: bigint | undefined, signal: AbortSignal): AsyncGenerator<Result<FeedItem>, void> {
    try {
      const revision = afterRevision ?? (await this.#repository.revision(signal));
      let started = false;
      for await (const page of changeFeed(this.#repository, revision, signal)) {
        if (page.kind === "outOfRange") {
          return yield failure({ kind: "unknownRevision", revision, oldest: page.oldest, newest: page.newest });
        }
        if (!started) yield success({ kind: "start", revision });
        started = true;
        for (const change of page.changes) yield success(change);
      }
    } catch (cause) {
      yield this.#failed("watch users", signal, cause);
    }
  }

  async #guard<T>(task: string, signal: AbortSignal, work: () => Promise<Result<T>>): Promise<Result<T>> {
    try {
      return await work();
    } catch (cause) {
      return this.#failed(task, signal, cause);
    }
  }

  /** The one place where a cause is told: to the log, and to nobody else. */
  #failed(task: string, signal: AbortSignal, cause: unknown) {
    if (signal.aborted) return failure({ kind: "interrupted" });
    const what = `failed to ${task}`;
    this.#log.error({ err: cause }, what);
    return failure({ kind: cause instanceof StoreError ? cause.kind : "failed", what });
  }
}

function written(draft: UserDraft, result: WriteResult): Result<User> {
  switch (result.kind) {
    case "stored":
      return success(result.user);
    case "missing":
      return failure({ kind: "notFound", id: draft.id });
    case "stale":
      return failure({ kind: "stale", id: draft.id, version: result.version });
    case "taken":
      return failure(takenError(draft, result.field));
  }
}

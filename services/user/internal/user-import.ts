import type { UserRecord, UserRepository } from "../repository/user.ts";
import { checkDraft, type UserDraft } from "./user-draft.ts";
import { failure, type Result, success, takenError, type UserError } from "./user-error.ts";

/** How many users one import may have: they wait in memory for its end, and are then stored without a pause. */
export const MAX_IMPORT = 10_000;
const MAX_PICTURE_BYTES = 256 * 1024 * 1024;
/** How many errors are reported; all are counted. */
const MAX_ERRORS = 100;

/** What became of a stream of users. */
export interface ImportReport {
  readonly created: number;
  readonly failed: number;
  /** The first ones, by their place in the import, from 0. */
  readonly errors: readonly { readonly index: number; readonly error: UserError }[];
}

/** All drafts of an import, unless there are too many. */
export async function collectDrafts(drafts: AsyncIterable<UserDraft>, maxUsers: number): Promise<Result<UserDraft[]>> {
  const collected: UserDraft[] = [];
  let bytes = 0;
  for await (const draft of drafts) {
    collected.push(draft);
    bytes += draft.picture.byteLength;
    if (collected.length > maxUsers)
      return failure({ kind: "tooLarge", what: `an import has at most ${maxUsers} users` });
    if (bytes > MAX_PICTURE_BYTES) {
      return failure({ kind: "tooLarge", what: `an import has at most ${MAX_PICTURE_BYTES} bytes of pictures` });
    }
  }
  return success(collected);
}

/** Creates what is valid and not taken, in one transaction, and reports the rest. Throws if the store fails. */
export async function importUsers(
  repository: UserRepository,
  drafts: readonly UserDraft[],
  newId: () => string,
  at: Date,
  signal: AbortSignal,
): Promise<ImportReport> {
  const entries: { index: number; record: UserRecord }[] = [];
  const errors: { index: number; error: UserError }[] = [];
  for (const [index, draft] of drafts.entries()) {
    const violations = checkDraft(draft);
    if (violations.length > 0) errors.push({ index, error: { kind: "invalid", violations } });
    else entries.push({ index, record: { ...draft, id: draft.id || newId() } });
  }
  const records = entries.map(({ record }) => record);
  const results = records.length > 0 ? await repository.insert(records, at, signal) : [];
  for (const [position, { index, record }] of entries.entries()) {
    const result = results[position];
    if (result?.kind === "taken") errors.push({ index, error: takenError(record, result.field) });
  }
  errors.sort((a, b) => a.index - b.index);
  return { created: drafts.length - errors.length, failed: errors.length, errors: errors.slice(0, MAX_ERRORS) };
}

import type { UserPatch, UserRecord } from "../repository/user.ts";
import type { Violation } from "./user-error.ts";

/** A user as a caller wrote it, not yet checked; an absent text is "". */
export type UserDraft = UserRecord;

/** The fields that a caller may change, by their names in protobuf. */
const FIELDS = { email: "email", display_name: "displayName", picture: "picture" } as const;
type Path = keyof typeof FIELDS;

const ID = /^[A-Za-z0-9._-]{1,64}$/;
const EMAIL = /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u;
const EMAIL_MAX = 254;
const NAME_MAX = 200;

/** What is wrong with an id. `field` is its path in the request. */
export function checkId(id: string, field: string): Violation[] {
  if (ID.test(id)) return [];
  return [{ field, description: `must be 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-"` }];
}

/** What is wrong with a whole user; an empty id counts as absent and is right. */
export function checkDraft(draft: UserDraft): Violation[] {
  const id = draft.id === "" ? [] : checkId(draft.id, "user.id");
  return [...id, ...checkEmail(draft.email), ...checkDisplayName(draft.displayName)];
}

/** The fields that a mask takes from a draft, or what is wrong with them or the mask. An empty mask: those not empty. */
export function patchOf(draft: UserDraft, mask: readonly string[]): { patch: UserPatch; violations: Violation[] } {
  const violations: Violation[] = [];
  const paths = new Set<Path>();
  if (mask.length === 0) for (const path of filledPaths(draft)) paths.add(path);
  for (const [index, path] of mask.entries()) {
    if (path === "*") for (const each of allPaths()) paths.add(each);
    else if (isPath(path)) paths.add(path);
    else
      violations.push({ field: `update_mask.paths[${index}]`, description: `must be one of ${allPaths().join(", ")}` });
  }
  if (mask.length === 0 && paths.size === 0) {
    violations.push({ field: "update_mask", description: "is empty, and so is every field that may be changed" });
  }
  if (paths.has("email")) violations.push(...checkEmail(draft.email));
  if (paths.has("display_name")) violations.push(...checkDisplayName(draft.displayName));
  const patch = Object.fromEntries([...paths].map((path) => [FIELDS[path], draft[FIELDS[path]]]));
  return { patch, violations };
}

function checkEmail(email: string): Violation[] {
  const field = "user.email";
  if (email === "") return [{ field, description: "is required" }];
  if (email.length > EMAIL_MAX) return [{ field, description: `must have at most ${EMAIL_MAX} characters` }];
  return EMAIL.test(email) ? [] : [{ field, description: "must be an address like name@host" }];
}

function checkDisplayName(name: string): Violation[] {
  const field = "user.display_name";
  if (name.trim() === "") return [{ field, description: "is required" }];
  if (name.length > NAME_MAX) return [{ field, description: `must have at most ${NAME_MAX} characters` }];
  return /\p{Cc}/u.test(name) ? [{ field, description: "must not contain control characters" }] : [];
}

function filledPaths(draft: UserDraft): Path[] {
  return allPaths().filter((path) => draft[FIELDS[path]].length > 0);
}

function allPaths(): Path[] {
  return Object.keys(FIELDS).filter(isPath);
}

function isPath(path: string): path is Path {
  return Object.hasOwn(FIELDS, path);
}

/** What is wrong with one field of a request. */
export interface Violation {
  /** A path in the request, as in "user.email". */
  readonly field: string;
  readonly description: string;
}

/** Why something could not be done, in the words of the domain; `status-of.ts` says it in those of gRPC. */
export type UserError =
  | { readonly kind: "notFound"; readonly id: string }
  | { readonly kind: "alreadyExists"; readonly field: "id" | "email"; readonly value: string }
  /** The user is at `version`, which is not the one that the change was meant for. */
  | { readonly kind: "stale"; readonly id: string; readonly version: bigint }
  | { readonly kind: "invalid"; readonly violations: readonly Violation[] }
  /** Changes cannot be followed from there. */
  | { readonly kind: "unknownRevision"; readonly revision: bigint; readonly oldest: bigint; readonly newest: bigint }
  | { readonly kind: "tooLarge"; readonly what: string }
  /** The caller is gone or its time is over. */
  | { readonly kind: "interrupted" }
  /** The store could not do `what` now. */
  | { readonly kind: "unavailable" | "busy" | "uncertain"; readonly what: string }
  /** The store failed; the cause is in the log and nowhere else. */
  | { readonly kind: "failed"; readonly what: string };

/** What an operation comes to: a value, or an error that the caller can act on. */
export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: UserError };

/** The result of an operation that succeeded. */
export function success<T>(value: T): Result<T> {
  return { ok: true, value };
}

/** The result of an operation that was refused. */
export function failure(error: UserError): { readonly ok: false; readonly error: UserError } {
  return { ok: false, error };
}

/** That another user has the id or the address of this one. */
export function takenError(user: { readonly id: string; readonly email: string }, field: "id" | "email"): UserError {
  return { kind: "alreadyExists", field, value: user[field] };
}

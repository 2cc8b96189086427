import type { ErrorCode } from "./errors.ts";

/** Why a connection is over. */
export type CloseCause =
  /** We closed it, or both sides had nothing more to say. */
  | { readonly kind: "closed"; readonly reason: string }
  /** The peer broke the protocol or a limit. */
  | { readonly kind: "violation"; readonly code: ErrorCode; readonly reason: string }
  /**
   * The transport failed or the peer went away. `idle`: milliseconds for which nothing had come, where no stream was open, or
   * none that has heard anything, and the peer had not said GOAWAY.
   */
  | { readonly kind: "lost"; readonly reason: string; readonly idle: number | undefined };

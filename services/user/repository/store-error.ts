/**
 * Why a store could not do what it was asked, where the caller can do something about it:
 *
 * - `unavailable`: it cannot be reached; nothing was changed.
 * - `busy`: it has no room for another call within the time that a call may wait; nothing was changed.
 * - `uncertain`: it was lost while it committed; the change was made, or it was not.
 */
export class StoreError extends Error {
  readonly kind: "unavailable" | "busy" | "uncertain";

  constructor(kind: StoreError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.kind = kind;
  }
}

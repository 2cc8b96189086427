import type { RawAnswer } from "../../support/raw-peer.ts";
import type { Refusal } from "../../support/refusal.ts";
import type { Scope, Sidecar } from "../../support/with-proxy.ts";

/** A row of the status table, provoked for real. */
export interface StatusCase {
  readonly title: string;
  readonly expected: Refusal;
  /** Makes one call that ends so. `answer`: undefined where the caller's stream was reset instead. */
  readonly provoke: (scope: Scope) => Promise<{ readonly sidecar: Sidecar; readonly answer: RawAnswer | undefined }>;
}

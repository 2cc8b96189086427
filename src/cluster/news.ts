import type { CheckState } from "./health/active-check.ts";
import type { EjectionCause } from "./health/record.ts";

/** What one thread finds out of an endpoint, by its address, and the others of the process are to know at once. */
export type EndpointNews =
  | {
      readonly kind: "ejected";
      readonly endpoint: string;
      readonly cause: EjectionCause;
      readonly detail: string;
      /** Wall-clock milliseconds. */
      readonly until: number;
    }
  /** It gets calls again. */
  | { readonly kind: "letIn"; readonly endpoint: string }
  | { readonly kind: "checked"; readonly endpoint: string; readonly state: CheckState };

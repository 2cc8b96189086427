import type { Config } from "../../config/types.ts";
import type { Clock } from "../../core/clock.ts";
import type { AdminTarget } from "../admin-client.ts";

/** What a check found of one thing. */
export interface Finding {
  readonly check: string;
  /** `ok`; `warning`: it works, but not as it should; `error`: calls fail, or will. */
  readonly verdict: "ok" | "warning" | "error";
  /** What was looked at and what was seen there. */
  readonly evidence: string;
  /** What to do about it; undefined where nothing has to be done. */
  readonly remedy: string | undefined;
}

/** What checks look at. */
export interface Surroundings {
  readonly config: Config;
  readonly clock: Clock;
  /** The admin listener of the sidecar, where one answers there. */
  readonly running: AdminTarget | undefined;
  /** Milliseconds for which idle connections are watched. */
  readonly patience: number;
}

/** Looks at one thing. Never rejects for what it finds: that is a finding. */
export type Check = (surroundings: Surroundings) => Promise<readonly Finding[]>;

/** A finding: all is well, and this shows it. */
export function ok(check: string, evidence: string): Finding {
  return { check, verdict: "ok", evidence, remedy: undefined };
}

/** A finding: it works, but not for long or not as meant. */
export function warning(check: string, evidence: string, remedy: string): Finding {
  return { check, verdict: "warning", evidence, remedy };
}

/** A finding: it does not work. */
export function error(check: string, evidence: string, remedy: string): Finding {
  return { check, verdict: "error", evidence, remedy };
}

/** What is told of something that was thrown. */
export function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message || reason.name : String(reason);
}

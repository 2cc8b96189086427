import type { AccessMode, AccessRules, AccessServices } from "../../src/observability/access-log.ts";

/** For an access log of a test that does not look at times, chances and ids. */
export const accessServices: AccessServices = { now: () => 0, random: () => 0, idOf: (call) => `test-${call.id}` };

/** The rules of an access log, as they are by default where a test says nothing. */
export function accessRules(mode: AccessMode, more: Partial<AccessRules> = {}): AccessRules {
  return { mode, sampling: 1, slow: undefined, limit: 10, redact: [], ...more };
}

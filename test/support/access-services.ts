import type { AccessServices } from "../../src/observability/access-log.ts";

/** For an access log of a test that does not look at times, chances and ids. */
export const accessServices: AccessServices = { now: () => 0, random: () => 0, idOf: (call) => `test-${call.id}` };

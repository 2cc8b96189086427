import type { Draft } from "../draft.ts";
import { formatPath } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";

/** Settings of connections that nothing comes of. */
export function checkConnections(draft: Draft<FileConfig>, reading: Reading): void {
  for (const direction of ["inbound", "outbound"] as const) {
    const path = ["connections", direction];
    const settings = draft.connections?.[direction];
    if (settings === undefined || !reading.has(path)) continue;
    const { max, maxPerSource, maxAge, maxRequests, grace } = settings;
    if (direction === "inbound" && !reading.has(["service"]))
      // `max` is there in any case.
      for (const key of ["maxPerSource", "maxAge", "grace", "maxRequests", "idleTimeout"] as const)
        if (settings[key] !== undefined)
          reading.reportKey([...path, key], {
            code: "no-effect",
            message: `connections.inbound.${key} has no effect without a service: nobody connects from outside`,
            expected: "a service, or no such key",
          });
    if (grace !== undefined && maxAge === undefined && maxRequests === undefined)
      reading.reportKey([...path, "grace"], {
        code: "no-effect",
        message: `${formatPath(path)}.grace has no effect without maxAge or maxRequests: no caller is asked to go`,
        expected: "one of them, or no grace",
      });
    if (max !== undefined && maxPerSource !== undefined && maxPerSource > max)
      reading.reportValue([...path, "maxPerSource"], {
        code: "conflict",
        message: `${formatPath(path)}.maxPerSource of ${maxPerSource} is above max of ${max}`,
        expected: `at most ${max}`,
      });
  }
  for (const [name, { connections, protocol }] of draft.upstreams ?? []) {
    const path = ["upstreams", name, "connections"];
    if (connections === undefined || protocol !== "tcp" || !reading.has(path)) continue;
    reading.reportKey(path, {
      code: "no-effect",
      message: `${formatPath(path)} has no effect with protocol tcp: a connection carries one call and ends with it`,
      expected: "no such key",
    });
  }
}

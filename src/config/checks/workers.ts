import type { Draft } from "../draft.ts";
import { formatPath } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { listenersOf } from "./listeners.ts";

/** Several threads listen at one address, which no unix socket allows. */
export function checkWorkers(draft: Draft<FileConfig>, reading: Reading): void {
  if (draft.workers === undefined || draft.workers === 1) return;
  for (const { path, address } of listenersOf(draft, reading)) {
    const [, name] = path;
    if (address.kind !== "unix" || name === "admin" || name === "probe") continue;
    reading.reportValue(path, {
      code: "conflict",
      message: `${formatPath(path)} is a unix socket, on which ${draft.workers} workers cannot listen`,
      expected: "an address with a port, or workers: 1",
    });
  }
}

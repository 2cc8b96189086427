import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { UpstreamConfig } from "../types.ts";

/** Admission control that never refuses a call. `path`: of the admissionControl block. */
export function checkAdmission(
  path: Path,
  block: Draft<UpstreamConfig["admissionControl"]> | undefined,
  reading: Reading,
): void {
  if (block === undefined) return;
  const { acceptRate, maxRefused, statuses } = block;
  for (const [key, share] of [
    ["acceptRate", acceptRate],
    ["maxRefused", maxRefused],
  ] as const)
    if (share === 0)
      reading.reportValue([...path, key], {
        code: "no-effect",
        message: `${key} of 0%: no call is ever refused`,
        expected: "more than 0%",
      });
  if (statuses?.length === 0)
    reading.reportValue([...path, "statuses"], {
      code: "no-effect",
      message: "no call is ever refused: each counts as accepted",
      expected: "at least one status",
    });
}

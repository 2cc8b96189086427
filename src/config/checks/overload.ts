import { overloadActions, overloadResources, type Thresholds } from "../../limits/overload/options.ts";
import type { Draft } from "../draft.ts";
import { formatPath } from "../issue.ts";
import type { Reading } from "../reading.ts";
import { formatPercent } from "../schema/units.ts";
import type { FileConfig } from "../schema.ts";

/** From which of them on more calls are refused than from the one before. */
const ladder = ["refuseSheddable", "refuseOrdinary", "refuseAll"] as const;

/** Actions that never end, and refusals that others have made before. */
export function checkOverload(draft: Draft<FileConfig>, reading: Reading): void {
  const { overload } = draft;
  for (const resource of overloadResources) {
    const thresholds: Draft<Thresholds> | undefined = overload?.[resource];
    if (thresholds === undefined) continue;
    const { recovery = 0 } = overload ?? {};
    for (const action of overloadActions) {
      const share = thresholds[action] ?? 0;
      if (share === 0 || share > recovery) continue;
      reading.reportValue(["overload", resource, action], {
        code: "conflict",
        message: `${action} would never end: ${formatPercent(share)} is not above overload.recovery of ${formatPercent(recovery)}`,
        expected: `more than ${formatPercent(recovery)}, or never`,
      });
    }
    checkLadder(resource, thresholds, reading);
  }
}

function checkLadder(resource: string, thresholds: Draft<Thresholds>, reading: Reading): void {
  const taken = ladder.filter((action) => (thresholds[action] ?? 0) > 0);
  const at = taken.findIndex(
    (action, before) => (thresholds[action] ?? 0) > (thresholds[taken[before + 1] ?? action] ?? 0),
  );
  const [action, sooner] = [taken[at], taken[at + 1]];
  if (action === undefined || sooner === undefined) return;
  const path = ["overload", resource];
  const share = (of: (typeof ladder)[number]): string => `${of} of ${formatPercent(thresholds[of] ?? 0)}`;
  // What the file says is the mistake, not the default that it meets.
  reading.reportValue([...path, reading.has([...path, action]) ? action : sooner], {
    code: "conflict",
    message: `${formatPath(path)}: ${share(sooner)} is below ${share(action)}, which then has no effect`,
    expected: "refuseSheddable, refuseOrdinary and refuseAll in ascending order",
  });
}

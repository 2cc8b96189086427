import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import { formatDuration } from "../schema/units.ts";
import type { RetryConfig } from "../types.ts";

/** Retries that can never happen, and times of which one never comes to its end. `path`: of the retry block. */
export function checkRetry(
  path: Path,
  retry: Draft<RetryConfig> | undefined,
  timeout: number | undefined,
  reading: Reading,
): void {
  if (retry === undefined) return;
  const { idempotentMethods, descriptors, statuses, perTryTimeout, hedgeAfter, backoff } = retry;
  if (idempotentMethods?.length === 0 && descriptors === undefined && !reading.has([...path, "descriptors"]))
    reading.reportKey(path, {
      code: "no-effect",
      message: "this retry has no effect: no method is known to be idempotent",
      expected: "idempotentMethods: [package.Service/Method], or descriptors",
    });
  if (statuses?.length === 0 && perTryTimeout === undefined && hedgeAfter === undefined)
    reading.reportValue([...path, "statuses"], {
      code: "no-effect",
      message: "this retry has no effect: no status is made again, and no attempt is given up",
      expected: "statuses, perTryTimeout or hedgeAfter",
    });
  const reaches = (
    key: "perTryTimeout" | "hedgeAfter",
    value: number | undefined,
    of: string,
    bound?: number,
  ): void => {
    if (value === undefined || bound === undefined || value < bound) return;
    reading.reportValue([...path, key], {
      code: "no-effect",
      message: `${key} of ${formatDuration(value)} has no effect: ${of} of ${formatDuration(bound)} ends the ${of === "timeout" ? "call" : "attempt"} before`,
      expected: `less than ${formatDuration(bound)}`,
    });
  };
  reaches("perTryTimeout", perTryTimeout, "timeout", timeout);
  reaches("hedgeAfter", hedgeAfter, "timeout", timeout);
  reaches("hedgeAfter", hedgeAfter, "perTryTimeout", perTryTimeout);
  if (backoff?.base !== undefined && backoff.max !== undefined && backoff.base > backoff.max)
    reading.reportValue([...path, "backoff", "base"], {
      code: "conflict",
      message: `the first pause of ${formatDuration(backoff.base)} is longer than the longest, ${formatDuration(backoff.max)}`,
      expected: "base no longer than max",
    });
}

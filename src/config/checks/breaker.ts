import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { UpstreamConfig } from "../types.ts";

/** Breakers that can never open, or whose fallback leads nowhere. `path`: of the circuitBreaker block of the upstream `name`. */
export function checkBreaker(
  path: Path,
  name: string,
  breaker: Draft<UpstreamConfig["circuitBreaker"]> | undefined,
  upstreams: ReadonlyMap<string, unknown>,
  reading: Reading,
): void {
  if (breaker === undefined) return;
  const { slowCall, slowRate, statuses, fallback, failureRate } = breaker;
  const gives = (key: string): boolean => reading.has([...path, key]);
  if (gives("slowCall") !== gives("slowRate")) {
    const [there, missing] = gives("slowCall") ? ["slowCall", "slowRate"] : ["slowRate", "slowCall"];
    reading.reportKey([...path, there], {
      code: "no-effect",
      message: `${there} has no effect without ${missing}`,
      expected: `${missing} beside it`,
    });
  }
  if (failureRate === 0 || slowRate === 0)
    reading.reportValue([...path, failureRate === 0 ? "failureRate" : "slowRate"], {
      code: "invalid-value",
      message: "with a rate of 0% the breaker would always be open",
      expected: "more than 0%",
    });
  if (statuses?.length === 0 && slowCall === undefined)
    reading.reportValue([...path, "statuses"], {
      code: "no-effect",
      message: "this circuit breaker never opens: no status is a failure",
      expected: "at least one status, or slowCall and slowRate",
    });
  if (fallback === undefined) return;
  const at = [...path, "fallback"];
  if (fallback.upstream !== undefined && fallback.status !== undefined)
    reading.reportKey([...at, "status"], {
      code: "conflict",
      message: "a fallback is another upstream or a status, not both",
      expected: "upstream or status",
    });
  if (
    fallback.upstream === undefined &&
    fallback.status === undefined &&
    !reading.has([...at, "upstream"]) &&
    !reading.has([...at, "status"])
  )
    reading.reportKey(at, {
      code: "no-effect",
      message: "this fallback says nothing",
      expected: "upstream: NAME or status: WORD",
    });
  if (fallback.upstream !== undefined && (fallback.upstream === name || !upstreams.has(fallback.upstream)))
    reading.reportValue([...at, "upstream"], {
      code: "conflict",
      message:
        fallback.upstream === name
          ? "an upstream cannot be its own fallback"
          : `no upstream is called ${fallback.upstream}`,
      expected: "another name of upstreams",
    });
}

/** Limits of a queue that nobody can be in. */
export function checkLimits(path: Path, limits: Draft<UpstreamConfig["limits"]> | undefined, reading: Reading): void {
  if (limits === undefined) return;
  for (const [key, needs, is] of [
    ["maxQueue", "maxConcurrent", limits.maxConcurrent !== undefined || reading.has([...path, "maxConcurrent"])],
    ["maxQueueTime", "maxQueue", limits.maxQueue !== 0],
  ] as const) {
    if (is || !reading.has([...path, key]) || (key === "maxQueue" && limits.maxQueue === 0)) continue;
    if (key === "maxQueueTime" && limits.maxQueueTime === 1_000) continue;
    reading.reportKey([...path, key], {
      code: "no-effect",
      message: `${key} has no effect without ${needs}`,
      expected: `${needs} beside it`,
    });
  }
}

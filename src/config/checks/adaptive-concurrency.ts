import type { ConcurrencyOptions } from "../../limits/concurrency-limit.ts";
import type { Draft } from "../draft.ts";
import { formatPath, type Path } from "../issue.ts";
import type { Reading } from "../reading.ts";

/** Bounds that no limit lies between. `path`: of the adaptiveConcurrency block. */
export function checkAdaptiveConcurrency(
  path: Path,
  block: Draft<ConcurrencyOptions> | undefined,
  reading: Reading,
): void {
  if (block === undefined) return;
  const { initial, min, max } = block;
  const report = (key: string, message: string, expected: string): void =>
    reading.reportValue([...path, key], { code: "conflict", message: `${formatPath(path)}.${message}`, expected });
  if (min === undefined || max === undefined || initial === undefined) return;
  if (min > max) report("min", `min of ${min} is above its max of ${max}`, `at most ${max}`);
  else if (initial < min || initial > max)
    report("initial", `initial of ${initial} is not between its min and its max`, `from ${min} to ${max}`);
}

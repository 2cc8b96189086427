import assert from "node:assert/strict";
import { test } from "node:test";
import { durationIn } from "../../src/core/json-field.ts";

test("durations are read as Go writes them: units that follow each other, or nanoseconds", () => {
  const cases: readonly (readonly [unknown, number | undefined])[] = [
    ["15s", 15_000],
    ["1m9.5s", 69_500],
    ["250ms", 250],
    ["1h0m0s", 3_600_000],
    ["-1s", -1000],
    [7_000_000_000, 7000],
    [0, undefined],
    ["0s", undefined],
    ["soon", undefined],
    ["5", undefined],
    [undefined, undefined],
  ];
  for (const [written, milliseconds] of cases)
    assert.equal(durationIn({ at: written }, "at"), milliseconds, String(written));
});

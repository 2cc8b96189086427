import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runProcess } from "../support/process.ts";
import type { Counts, CountsByCase } from "./engine/counts.ts";

/** What may come on top of the baseline, as a share of it. Allocations depend a little on when the collector runs. */
const TOLERANCE: Readonly<Record<keyof Counts, number>> = {
  functions: 0.03,
  allocated: 0.1,
  octets: 0.01,
  writes: 0.1,
};
/** Milliseconds: code that is not optimised, on a machine that may have much else to do. */
const PATIENCE = 240_000;
const KINDS = ["functions", "allocated", "octets", "writes"] as const;

test("a call through the engine costs no more operations than the baseline says", async (t) => {
  const baseline: CountsByCase = JSON.parse(readFileSync(join(import.meta.dirname, "engine-baseline.json"), "utf8"));
  const counted = await runProcess(process.execPath, [join(import.meta.dirname, "engine.ts"), "--counts"], {
    timeout: PATIENCE,
  });
  assert.equal(counted.code, 0, counted.stderr);
  const counts: CountsByCase = JSON.parse(counted.stdout);
  assert.deepEqual(Object.keys(counts), Object.keys(baseline));
  for (const [name, wanted] of Object.entries(baseline)) {
    for (const kind of KINDS) {
      const seen = counts[name]?.[kind] ?? Number.NaN;
      t.diagnostic(`${name}: ${kind} ${seen}, baseline ${wanted[kind]}`);
      const most = wanted[kind] * (1 + TOLERANCE[kind]);
      const why = `${name}: ${seen} ${kind} a call, the baseline is ${wanted[kind]}; where that is meant, run node test/bench/engine.ts --update`;
      assert.ok(seen <= most, why);
    }
  }
});

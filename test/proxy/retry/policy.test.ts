import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryBudget } from "../../../src/proxy/retry/budget.ts";
import { IdempotentMethods } from "../../../src/proxy/retry/idempotent-methods.ts";
import { newRetryCounts, RetryPolicy } from "../../../src/proxy/retry/policy.ts";
import { seededRandom } from "../../support/random.ts";

function policy(random: () => number): RetryPolicy {
  return new RetryPolicy(
    {
      attempts: 10,
      budget: 0.5,
      statuses: new Set([14]),
      perTryTimeout: undefined,
      hedgeAfter: undefined,
      backoff: { base: 25, max: 250 },
    },
    new IdempotentMethods([]),
    { budget: new RetryBudget(), counts: newRetryCounts() },
    random,
  );
}

const RETRIES = [1, 2, 3, 4, 5, 6, 9] as const;
const BOUNDS = [25, 50, 100, 200, 250, 250, 250] as const;

test("pauses between attempts are bounded by an exponential and by the longest, and may be nothing (gRFC A6)", () => {
  const most = policy(() => 1);
  const none = policy(() => 0);
  assert.deepEqual(
    RETRIES.map((retry) => most.pause(retry)),
    BOUNDS,
  );
  assert.deepEqual(
    RETRIES.map((retry) => none.pause(retry)),
    RETRIES.map(() => 0),
  );
});

test("pauses are spread evenly up to their bound, so that calls that failed together do not come back together", () => {
  const spread = policy(seededRandom(7));
  for (const [at, retry] of RETRIES.entries()) {
    const bound = BOUNDS[at] ?? 0;
    const pauses = Array.from({ length: 4000 }, () => spread.pause(retry));
    assert.ok(pauses.every((pause) => pause >= 0 && pause < bound));
    for (let quarter = 0; quarter < 4; quarter++) {
      const share = pauses.filter((pause) => Math.floor((4 * pause) / bound) === quarter).length / pauses.length;
      assert.ok(Math.abs(share - 0.25) < 0.03, `retry ${retry}: ${share} of the pauses are in quarter ${quarter}`);
    }
  }
});

test("the budget allows a share of the calls of the last ten seconds, and a hundred in any case", () => {
  const budget = new RetryBudget();
  const taken = (now: number): number => {
    let count = 0;
    while (budget.take(0.5, now)) count++;
    return count;
  };
  for (let n = 0; n < 1000; n++) budget.call(1000);
  assert.equal(taken(1500), 500);
  assert.equal(taken(9999), 0, "what was taken counts as long as what it was taken from");
  assert.equal(taken(11_000), 100, "both are past");
  assert.deepEqual(budget.state(0.5, 11_000), { used: 100, allowed: 100 });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { reasons } from "../../../src/http/reason.ts";
import { checkAnswer, checkRecord } from "../../support/refusal.ts";
import { inScope } from "../../support/with-proxy.ts";
import { answering } from "./answering.ts";
import { authorizing } from "./authorizing.ts";
import { limiting } from "./limiting.ts";
import { policies } from "./policies.ts";
import { reaching } from "./reaching.ts";
import { routing } from "./routing.ts";
import { securing } from "./securing.ts";

const cases = [...policies, ...routing, ...limiting, ...reaching, ...securing, ...authorizing, ...answering];

for (const { title, expected, provoke } of cases) {
  test(`${expected.reason}, ${expected.direction}: ${title}`, async () => {
    await inScope(async (scope) => {
      const { sidecar, answer } = await provoke(scope);
      if (answer !== undefined) checkAnswer(answer, expected);
      await checkRecord(sidecar, expected);
    });
  });
}

test("every reason of the closed set is provoked by a case", () => {
  const provoked = new Set(cases.map(({ expected }) => expected.reason));
  assert.deepEqual(Object.keys(reasons).sort(), [...provoked].sort());
});

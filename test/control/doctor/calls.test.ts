import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { startAdmin } from "../../../src/control/admin.ts";
import { checkCalls } from "../../../src/control/doctor/calls.ts";
import { systemClock } from "../../../src/core/clock.ts";
import type { ExplainedCall } from "../../../src/observability/explain/explanations.ts";
import { anExplanation, FakeView } from "../fake-view.ts";
import { found, wrong } from "./surroundings.ts";

/** A sidecar that remembers these calls. */
class Remembering extends FakeView {
  calls: readonly ExplainedCall[] = [];

  override latestCalls(): readonly ExplainedCall[] {
    return this.calls;
  }
}

test("what became of the last calls is told: how many a sidecar ended, why, and which one to have explained", async (t) => {
  const view = new Remembering();
  const options = { view, hosts: () => [], clock: systemClock, log: pino({ level: "silent" }) };
  const running = await startAdmin({ kind: "tcp", host: "127.0.0.1", port: 0 }, options);
  t.after(() => running.close());
  assert.deepEqual(await found(checkCalls, {}), [], "of a sidecar that does not run");
  assert.deepEqual(await found(checkCalls, {}, { running }), [], "without a call");

  const { id, path, authority, startedAt } = anExplanation;
  const answered = { ...anExplanation, id: "a-1", upstream: "orders", durationMs: 1 };
  const good = { ...answered, status: "NOT_FOUND", reason: null };
  const lost = { ...answered, id, status: "UNAVAILABLE", reason: "NO_ENDPOINTS" };
  const late = { ...answered, status: "DEADLINE_EXCEEDED", reason: "DEADLINE_CLIENT" };
  view.calls = [good, good];
  const [fine] = await found(checkCalls, {}, { running });
  assert.deepEqual([fine?.verdict, fine?.evidence], ["ok", "of the last 2 none was ended by a sidecar"]);

  view.calls = [good, lost, late, lost];
  const [bad] = await found(checkCalls, {}, { running });
  assert.match(bad?.remedy ?? "", new RegExp(`outrigger explain ${id} `));
  assert.deepEqual(bad === undefined ? [] : wrong([bad]), [
    `warning: of the last 4 a sidecar ended 3: 2 NO_ENDPOINTS, 1 DEADLINE_CLIENT; the last one was ${path} to ${authority} at ${startedAt}`,
  ]);
});

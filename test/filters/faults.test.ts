import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Deadlines } from "../../src/core/deadlines.ts";
import { type FaultOptions, Faults } from "../../src/filters/faults.ts";
import { FakeClock } from "../support/clock.ts";
import { makeCall } from "./make-call.ts";

const ALL = { method: "*", upstream: undefined, metadata: new Map<string, string>() };
const FAULT: FaultOptions = {
  name: "one",
  direction: "outbound",
  match: ALL,
  percentage: 1,
  delay: undefined,
  abort: 14,
};

function setup(...faults: FaultOptions[]) {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const dice = { value: 0 };
  const made = new Faults(deadlines, clock, () => dice.value, pino({ level: "silent" }));
  made.apply(faults);
  return { clock, deadlines, dice, faults: made };
}

test("a fault befalls its share of the calls that it matches, and no others", async () => {
  const match = { ...ALL, method: "a.A/*" };
  const { faults, dice } = setup({ ...FAULT, match, percentage: 0.1 });
  const seen = (path: string) => faults.onRequest(makeCall([], true, path));
  dice.value = 0.0999;
  const verdict = await seen("/a.A/One");
  assert.deepEqual([verdict?.reason, verdict?.status, verdict?.unprocessed], ["FAULT_INJECTED", 14, false]);
  assert.equal(seen("/b.B/One"), undefined);
  dice.value = 0.1;
  assert.equal(seen("/a.A/One"), undefined);
  assert.deepEqual(
    [...faults.all()].map(({ aborted, delayed }) => [aborted, delayed]),
    [[1, 0]],
  );
});

test("the first that befalls a call is the one", async () => {
  const { faults } = setup({ ...FAULT, direction: "inbound" }, { ...FAULT, name: "two", abort: 8 }, FAULT);
  assert.equal((await faults.onRequest(makeCall()))?.status, 8);
});

test("a delayed call goes on after its time, or ends then where it is aborted as well", async () => {
  const { faults, clock } = setup({ ...FAULT, delay: 500, abort: undefined });
  const answer = faults.onRequest(makeCall());
  assert.ok(answer instanceof Promise);
  await clock.pass(530);
  assert.equal(await answer, undefined);
  faults.apply([{ ...FAULT, delay: 500 }]);
  const aborted = faults.onRequest(makeCall());
  await clock.pass(530);
  assert.equal((await aborted)?.reason, "FAULT_INJECTED");
  assert.deepEqual(
    [...faults.all()].map(({ delayed }) => delayed),
    [2],
    "counts are kept by name",
  );
});

test("of a call that ends while it is delayed nothing is left", async () => {
  const { faults, deadlines } = setup({ ...FAULT, delay: 500 });
  const call = makeCall();
  void faults.onRequest(call);
  assert.equal(deadlines.armed, 1);
  faults.onFinish(call);
  assert.equal(deadlines.armed, 0);
});

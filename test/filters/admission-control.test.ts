import assert from "node:assert/strict";
import { test } from "node:test";
import { AdmissionControl, type AdmissionOptions } from "../../src/filters/admission-control.ts";
import type { Outcome } from "../../src/http/call.ts";
import { Status } from "../../src/http/reason.ts";
import { FakeClock } from "../support/clock.ts";
import { seededRandom } from "../support/random.ts";
import { makeCall } from "./make-call.ts";

const OPTIONS: AdmissionOptions = {
  acceptRate: 0.5,
  window: 10_000,
  minimumRequests: 20,
  maxRefused: 0.9,
  statuses: new Set([Status.UNAVAILABLE]),
};

function setup(options: Partial<AdmissionOptions> = {}, random: () => number = seededRandom(1)) {
  const clock = new FakeClock();
  const control = new AdmissionControl({ ...OPTIONS, ...options }, clock, random);
  /** Makes a call that comes to this, unless it is refused. */
  const call = (outcome: Partial<Outcome>) => {
    const made = makeCall();
    made.upstream = "orders";
    const refusal = control.enter(made);
    if (refusal === undefined) made.decidedAt = 1;
    const end = { status: 0, reason: undefined, origin: "app", detail: undefined, ...outcome } as const;
    control.done(made, refusal === undefined ? end : { ...end, ...refusal }, clock.now());
    return refusal;
  };
  const state = () => control.state(clock.now());
  return { clock, control, call, state };
}

test("an upstream that accepts enough is sent all of its calls", () => {
  const { call, state } = setup();
  for (let n = 0; n < 1000; n++) assert.equal(call({ status: n % 2 === 0 ? 0 : Status.UNAVAILABLE }), undefined);
  assert.deepEqual(state(), { requests: 1000, accepted: 500, refusing: 0, refused: 0 });
});

test("an upstream that takes a hundred calls a second is sent about twice as many, of however many there are", () => {
  for (const [offered, acceptRate, most] of [
    [1000, 0.5, 200],
    [400, 0.5, 200],
    [1000, 0.8, 125],
  ] as const) {
    const { clock, call, state } = setup({ acceptRate });
    let sent = 0;
    for (let second = 0; second < 60; second++) {
      let taken = 0;
      for (let n = 0; n < offered; n++) {
        // Those that come first in a second are taken, as a limit of the upstream has it.
        const refusal = call(taken < 100 ? {} : { status: Status.UNAVAILABLE });
        if (refusal === undefined) taken++;
        clock.advance(1000 / offered);
      }
      if (second >= 30) sent += taken;
    }
    const rate = sent / 30;
    assert.ok(rate > most * 0.8 && rate < most * 1.2, `${rate} of ${offered} a second are sent, for ${most}`);
    assert.ok(state().refusing < 0.9);
  }
});

test("an upstream that accepts nothing is asked by a few, and gets all of its calls once it takes them again", () => {
  const { clock, call, control, state } = setup();
  for (let n = 0; n < 2000; n++) call({ status: Status.UNAVAILABLE });
  const sent = 2000 - control.refused;
  assert.ok(sent > 150 && sent < 350, `${sent} were sent, a tenth and those at the beginning`);
  assert.equal(state().refusing, 0.9);
  for (let second = 0; second < 20; second++) {
    for (let n = 0; n < 50; n++) call({});
    clock.advance(1000);
  }
  assert.equal(state().refusing, 0, "what was before is forgotten");
});

test("a refusal names what was accepted of how many, and the share that is refused", () => {
  const { call, control, state } = setup({}, () => 0.5);
  for (let n = 0; n < 5; n++) call({});
  for (let n = 0; n < 34; n++) call({ status: Status.UNAVAILABLE });
  const { reason, detail, unprocessed } = call({}) ?? assert.fail("it is not refused");
  assert.equal(reason, "ADMISSION");
  assert.match(
    detail,
    /^orders has accepted 5 of the last (2\d|3\d) calls, less than 50%: [5-7]\d(\.\d)?% of its calls are refused$/,
  );
  assert.equal(unprocessed, true);
  assert.equal(state().refused, control.refused);
});

test("nothing is refused below the minimum of calls", () => {
  const { call } = setup({ minimumRequests: 20 }, () => 0);
  for (let n = 0; n < 20; n++) assert.equal(call({ status: Status.UNAVAILABLE }), undefined);
  assert.notEqual(call({}), undefined);
});

test("what says nothing of the upstream does not count: cancels, what this sidecar ends, what filters refuse", () => {
  const { control, clock, call, state } = setup();
  call({ status: Status.CANCELLED });
  for (const reason of ["CIRCUIT_OPEN", "QUEUE_FULL", "REBALANCE"] as const)
    call({ status: Status.UNAVAILABLE, reason, origin: "proxy" });
  control.done(
    makeCall(),
    { status: Status.UNAVAILABLE, reason: "RATE_LIMIT", origin: "proxy", detail: undefined },
    clock.now(),
  );
  assert.deepEqual(state(), { requests: 0, accepted: 0, refusing: 0, refused: 0 });
  call({ status: Status.UNAVAILABLE, reason: "CONNECT_REFUSED", origin: "proxy" });
  call({ status: Status.NOT_FOUND });
  assert.deepEqual(state(), { requests: 2, accepted: 1, refusing: 0, refused: 0 });
});

test("other settings keep what was counted, but over another window", () => {
  const { control, call, state } = setup();
  for (let n = 0; n < 30; n++) call({});
  control.change({ ...OPTIONS, acceptRate: 0.9 });
  assert.equal(state().accepted, 30);
  control.change({ ...OPTIONS, window: 20_000 });
  assert.equal(state().accepted, 0);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { shedOverload } from "../../src/filters/overload.ts";
import { Overload } from "../../src/limits/overload/overload.ts";
import { FakeResources, overloadDefaults } from "../limits/fake-resources.ts";
import { makeCall } from "./make-call.ts";

function setup(field: string | undefined) {
  const resources = new FakeResources();
  const overload = new Overload(overloadDefaults, resources, () => 0);
  const filter = shedOverload(overload, () => field);
  const reasons = async (percent: number): Promise<(string | undefined)[]> => {
    resources.memoryAt = percent;
    overload.look();
    const verdicts = ["sheddable", "whatever", "critical"].map((word) =>
      filter.onRequest?.(makeCall([["x-how", word]])),
    );
    const found: (string | undefined)[] = [];
    for (const verdict of verdicts) found.push((await verdict)?.reason);
    return found;
  };
  return { overload, filter, reasons };
}

test("calls are refused by what they say of themselves, the least critical first", async () => {
  const { reasons, overload } = setup("x-how");
  const reason = "OVERLOAD";
  assert.deepEqual(await reasons(80), [undefined, undefined, undefined]);
  assert.deepEqual(await reasons(93), [reason, undefined, undefined]);
  assert.deepEqual(await reasons(96), [reason, reason, undefined]);
  assert.deepEqual(await reasons(99), [reason, reason, reason]);
  const effects = overload.actions.filter(({ name }) => name.startsWith("refuse")).map(({ effects }) => effects);
  assert.deepEqual(effects, [3, 2, 1, 0]);
});

test("where no field says how much they matter, all calls are ordinary", async () => {
  const { reasons } = setup(undefined);
  assert.deepEqual(await reasons(93), [undefined, undefined, undefined]);
  assert.deepEqual(await reasons(96), ["OVERLOAD", "OVERLOAD", "OVERLOAD"]);
});

test("a refusal names resource, value and threshold, and says that another instance may take the call, and when to come again", async () => {
  const { filter, reasons } = setup("x-how");
  await reasons(96.25);
  const verdict = await filter.onRequest?.(makeCall());
  assert.deepEqual(verdict, {
    reason: "OVERLOAD",
    detail:
      "the sidecar is overloaded: memory at 96.3% (96 of 100 MiB), refuseOrdinary is from 95%, and the call is ordinary",
    status: 8,
    unprocessed: true,
    fields: [["grpc-retry-pushback-ms", "1000"]],
  });
});

test("checks of health come through", async () => {
  const { filter, reasons } = setup(undefined);
  await reasons(100);
  assert.equal(filter.onRequest?.(makeCall([], true, "/grpc.health.v1.Health/Watch")), undefined);
});

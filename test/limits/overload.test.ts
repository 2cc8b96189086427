import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { Overload } from "../../src/limits/overload/overload.ts";
import { LoopDelay, systemResources } from "../../src/limits/overload/resources.ts";
import { causeWords } from "../../src/limits/overload/words.ts";
import { FakeResources, overloadDefaults } from "./fake-resources.ts";

function setup(options = overloadDefaults) {
  const resources = new FakeResources();
  let wall = 1000;
  const overload = new Overload(options, resources, () => wall++);
  /** What begins (+) and ends (-) with a look at so many percent of the memory. */
  const look = (percent: number): string[] => {
    resources.memoryAt = percent;
    return overload.look().map(({ name, since }) => `${since === undefined ? "-" : "+"}${name}`);
  };
  return { resources, overload, look };
}

test("the defaults of the file are those that these tests are about", () => {
  const loaded = loadConfig("identity: { name: a }", { file: "a.yaml", env: {} });
  assert.ok(loaded.ok);
  assert.deepEqual(loaded.config.overload, overloadDefaults);
});

test("actions begin one after the other as pressure grows, and end in the reverse order, each well below where it began", () => {
  const { overload, look } = setup();
  assert.deepEqual(look(84), []);
  assert.deepEqual(look(85), ["+shrinkHeap"]);
  assert.deepEqual(look(91), ["+closeIdle", "+forgetBodies"]);
  assert.deepEqual(look(94), ["+refuseSheddable"]);
  assert.equal(overload.refusing, 1);
  assert.deepEqual(look(97), ["+refuseOrdinary"]);
  assert.equal(overload.refusing, 2);
  assert.deepEqual(look(120), ["+refuseAll", "+refuseConnections"]);
  assert.equal(overload.refusing, 3);
  assert.deepEqual(look(93.5), [], "not below any of them by the recovery");
  assert.deepEqual(look(92), ["-refuseAll", "-refuseConnections"]);
  assert.deepEqual(look(91), []);
  assert.deepEqual(look(86), ["-refuseSheddable", "-refuseOrdinary"]);
  assert.equal(overload.refusing, 0);
  assert.deepEqual(look(10), ["-shrinkHeap", "-closeIdle", "-forgetBodies"]);
  assert.deepEqual(
    overload.actions.map(({ name, times }) => [name, times]),
    overload.actions.map(({ name }) => [name, 1]),
  );
});

test("an action is taken for the resource that is worst off, and says which and how much", () => {
  const { resources, overload, look } = setup({ ...overloadDefaults, heap: { ...overloadDefaults.heap, limit: 10 } });
  resources.used.heap = 9.6;
  look(95.5);
  const taken = overload.actions.find(({ name }) => name === "refuseOrdinary");
  assert.ok(taken !== undefined);
  assert.equal(causeWords(taken), "heap at 96% (0 of 0 MiB), refuseOrdinary is from 95%");
  resources.used.heap = 0;
  assert.deepEqual(look(91), [], "memory alone keeps it up");
  assert.equal(causeWords(taken), "memory at 91% (91 of 100 MiB), refuseOrdinary is from 95%");
});

test("a call is refused for the first action that refuses calls like it", () => {
  const { overload, look } = setup();
  const refusals = (): (string | undefined)[] =>
    (["sheddable", "ordinary", "critical"] as const).map((rank) => overload.refusalOf(rank)?.name);
  assert.deepEqual(refusals(), [undefined, undefined, undefined]);
  look(93);
  assert.deepEqual(refusals(), ["refuseSheddable", undefined, undefined]);
  look(96);
  assert.deepEqual(refusals(), ["refuseSheddable", "refuseOrdinary", undefined]);
  look(99);
  assert.deepEqual(refusals(), ["refuseSheddable", "refuseOrdinary", "refuseAll"]);
});

test("where an action is never taken, the next one stands in for it", () => {
  const { memory } = overloadDefaults;
  const { overload, look } = setup({
    ...overloadDefaults,
    memory: { ...memory, refuseSheddable: 0, refuseOrdinary: 0 },
  });
  look(97);
  assert.equal(overload.refusing, 0);
  look(99);
  assert.equal(overload.refusalOf("sheddable")?.name, "refuseAll");
});

test("other settings hold from the next look on, and what is taken and counted stays", () => {
  const { resources, overload, look } = setup();
  look(96);
  overload.count("refuseOrdinary", 3);
  overload.options = { ...overloadDefaults, memory: { ...overloadDefaults.memory, limit: 96 * 1_048_576 } };
  assert.deepEqual(look(96), ["+refuseAll", "+refuseConnections"]);
  const loopDelay = { limit: 100, refuseSheddable: 0.5, refuseOrdinary: 0, refuseAll: 0, refuseConnections: 0 };
  overload.options = { ...overloadDefaults, loopDelay };
  resources.used.loopDelay = 60;
  look(10);
  assert.deepEqual(
    overload.actions.filter(({ since }) => since !== undefined).map((action) => causeWords(action)),
    ["loopDelay at 60% (60 of 100 ms), refuseSheddable is from 50%"],
  );
  assert.equal(overload.actions.find(({ name }) => name === "refuseOrdinary")?.effects, 3);
});

test("a resource without a limit, or without settings, is not watched and not measured", () => {
  const { resources, overload, look } = setup();
  look(50);
  assert.deepEqual(
    overload.seen.map(({ name, pressure }) => [name, pressure]),
    [
      ["memory", 0.5],
      ["heap", 0],
    ],
  );
  assert.ok(resources.rested.loopDelay > 0);
});

test("what the system says of this process is more than nothing and less than its limit", () => {
  const { memory, heap } = systemResources({ now: () => performance.now() });
  assert.ok(memory.read() > 10e6);
  const used = heap.read();
  assert.ok(used > 1e6 && used < (heap.limit ?? 0), `${used} of ${heap.limit}`);
});

test("a loop that has nothing but long turns makes calls wait for half of one, and a single long turn counts for little", async () => {
  let now = 0;
  const delay = new LoopDelay({ now: () => now });
  assert.equal(delay.read(), 0, "the first look begins it");
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const busy = async (turns: number): Promise<void> => {
    for (let at = 0; at < turns; at++) {
      const end = performance.now() + 40;
      while (performance.now() < end);
      await turn();
    }
    await turn();
  };
  await busy(10);
  // By a clock of the test: a machine that is slower makes turns longer, never shorter.
  now += 400;
  const saturated = delay.read();
  assert.ok(saturated > 12, `${saturated} ms`);
  await busy(1);
  now += 100_000;
  const once = delay.read();
  assert.ok(once > 0 && once < saturated, `${once} ms`);
  delay.rest();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Overload } from "../../src/limits/overload/overload.ts";
import { ConnectionBudget } from "../../src/net/connection-budget.ts";
import { createLog } from "../../src/observability/log.ts";
import { OverloadWatch } from "../../src/runtime/overload-watch.ts";
import { FakeResources, overloadDefaults } from "../limits/fake-resources.ts";
import { FakeClock } from "../support/clock.ts";

function setup() {
  const clock = new FakeClock();
  const resources = new FakeResources();
  const lines: Record<string, unknown>[] = [];
  const sink = { write: (line: string) => void lines.push(JSON.parse(line)) };
  const log = createLog({ service: "a", version: "1", level: "info", clock, sink });
  const overload = new Overload(overloadDefaults, resources, () => clock.wall());
  const connections = new ConnectionBudget(1000);
  const done = { collected: 0, trimmed: 0, asked: 0 };
  const listeners = {
    closeIdle: () => {
      done.asked++;
      return 2;
    },
  };
  const watch = new OverloadWatch(
    { overload, clock, log, connections },
    listeners,
    () => void done.collected++,
    () => Promise.resolve(() => void done.trimmed++),
  );
  const effects = (action: string) => overload.actions.find(({ name }) => name === action)?.effects;
  return { clock, resources, lines, overload, connections, done, watch, effects };
}

test("it looks at once and every interval, until it is closed", () => {
  const { clock, resources, overload, watch } = setup();
  resources.memoryAt = 96;
  watch.begin();
  assert.equal(overload.refusing, 2);
  resources.memoryAt = 99;
  clock.advance(999);
  assert.equal(overload.refusing, 2);
  clock.advance(1);
  assert.equal(overload.refusing, 3);
  overload.options = { ...overloadDefaults, interval: 100 };
  watch.begin();
  assert.equal(clock.pending, 1, "begun anew it has one timer");
  resources.memoryAt = 10;
  clock.advance(100);
  assert.equal(overload.refusing, 0);
  watch.close();
  assert.equal(clock.pending, 0);
});

test("garbage is collected as the action begins, and every ten seconds while it lasts", () => {
  const { clock, resources, done, watch, effects } = setup();
  watch.begin();
  clock.advance(30_000);
  assert.equal(done.collected, 0);
  resources.memoryAt = 86;
  clock.advance(1000);
  assert.equal(done.collected, 1);
  clock.advance(9000);
  assert.equal(done.collected, 1);
  clock.advance(1000);
  assert.equal(done.collected, 2);
  resources.memoryAt = 10;
  clock.advance(60_000);
  assert.equal(done.collected, 2);
  assert.equal(effects("shrinkHeap"), 2);
});

test("what a collection has freed goes back to the system with the look after it, once", async () => {
  const { clock, resources, done, watch } = setup();
  watch.begin();
  resources.memoryAt = 86;
  clock.advance(1000);
  await setImmediate();
  assert.deepEqual([done.collected, done.trimmed], [1, 0]);
  resources.memoryAt = 10;
  clock.advance(60_000);
  assert.deepEqual([done.collected, done.trimmed], [1, 1]);
});

test("idle connections go at every look, and new ones are not taken, while the actions last", () => {
  const { clock, resources, connections, done, watch, effects } = setup();
  watch.begin();
  assert.deepEqual([connections.isFull, connections.isOver, done.asked], [false, false, 0]);
  resources.memoryAt = 99;
  clock.advance(3000);
  assert.deepEqual([connections.isFull, connections.isOver, done.asked], [true, true, 3]);
  assert.equal(effects("closeIdle"), 6);
  resources.memoryAt = 50;
  clock.advance(1000);
  assert.deepEqual([connections.isFull, connections.isOver, done.asked], [false, false, 3]);
});

test("the log says when an action begins, why, and when it ends", () => {
  const { clock, resources, lines, watch } = setup();
  watch.begin();
  resources.memoryAt = 86;
  clock.advance(5000);
  resources.memoryAt = 20;
  clock.advance(5000);
  assert.deepEqual(
    lines.map(({ level, action, resource, msg }) => [level, action, resource, msg]),
    [
      ["warn", "shrinkHeap", "memory", "overloaded: memory at 86% (86 of 100 MiB), shrinkHeap is from 85%"],
      ["info", "shrinkHeap", "memory", "no longer overloaded: shrinkHeap is over"],
    ],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { selfTimes, sharesByKind } from "./profile.ts";

function node(id: number, functionName: string, url = "") {
  return { id, callFrame: { functionName, url, lineNumber: 9 } };
}

test("self times are shares of the busy time, greatest first", () => {
  const profile = {
    nodes: [
      node(1, "(idle)"),
      node(2, "encode", "file:///somewhere/dist/outrigger.js"),
      node(3, "(program)"),
      node(4, ""),
    ],
    samples: [1, 2, 3, 2, 4, 1],
    // What stands at a sample is the time since the one before it.
    timeDeltas: [0, 1_000, 30, 20, 30, 20],
  };
  assert.deepEqual(selfTimes(profile), [
    { name: "encode outrigger.js:10", kind: "Outrigger", share: 0.6 },
    { name: "(program)", kind: "native and kernel", share: 0.2 },
    { name: "(anonymous)", kind: "native and kernel", share: 0.2 },
  ]);
  assert.deepEqual(sharesByKind(selfTimes(profile)), [
    { kind: "Outrigger", share: 0.6 },
    { kind: "native and kernel", share: 0.4 },
  ]);
});

test("a profile of nothing but idleness and rest is empty", () => {
  const nodes = [node(1, "(idle)"), node(2, "rest", "file:///somewhere/dist/outrigger.js")];
  assert.deepEqual(selfTimes({ nodes, samples: [1, 2], timeDeltas: [10, 10] }), []);
});

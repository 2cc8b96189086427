import assert from "node:assert/strict";
import { test } from "node:test";
import { difference, type Json, keysOf, patched, pointer } from "../../src/kubernetes/json-patch.ts";

test("a pointer escapes what stands for something in it, and is read back (RFC 6901 §3)", () => {
  const keys = ["metadata", "annotations", "outrigger.dev/a~b"];
  assert.equal(pointer(...keys), "/metadata/annotations/outrigger.dev~1a~0b");
  assert.deepEqual(keysOf(pointer(...keys)), keys);
  assert.equal(pointer("~1"), "/~01");
  assert.deepEqual(keysOf("/~01"), ["~1"]);
});

test("the difference of two objects adds, replaces and removes no more than it has to", () => {
  const before = { same: { a: 1 }, list: [1], gone: 1, deep: { kept: 1, changed: 1, "a/b": 1 } };
  const after = { same: { a: 1 }, list: [1, 2], deep: { kept: 1, changed: 2, "c/d": [] }, added: {} };
  assert.deepEqual(difference(before, after), [
    { op: "remove", path: "/gone" },
    { op: "replace", path: "/list", value: [1, 2] },
    { op: "remove", path: "/deep/a~1b" },
    { op: "replace", path: "/deep/changed", value: 2 },
    { op: "add", path: "/deep/c~1d", value: [] },
    { op: "add", path: "/added", value: {} },
  ]);
  assert.deepEqual(difference(after, after), []);
  const made = difference(before, after).reduce<Json>(
    (value, operation) => patched(value, keysOf(operation.path), operation),
    before,
  );
  assert.deepEqual(made, after);
  assert.deepEqual(patched([{ a: 1 }, { a: 1 }], [1, "a"], { op: "replace", path: "", value: 2 }), [
    { a: 1 },
    { a: 2 },
  ]);
});

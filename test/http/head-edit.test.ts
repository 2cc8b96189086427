import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadFilter, withField } from "../../src/http/head-edit.ts";
import { defaultHeaderTableLimits, type Head, HeaderTable } from "../../src/http/headers.ts";

type Pair = [name: string, value: string, secret?: boolean];

function pairs(head: Head): Pair[] {
  return [...head.entries()].map(([name, value, secret]) => (secret ? [name, value, true] : [name, value]));
}

test("fields are taken out by name, and the others stay in their order, with their secrets", () => {
  const table = new HeaderTable();
  const filter = new HeadFilter(table, (name) => name.startsWith("x-our-"));
  const kept: Pair[] = [
    [":path", "/a"],
    ["token", "s", true],
    ["b", "1"],
    ["b", "1"],
    ["grpc-timeout", "1S"],
  ];
  const added: Pair[] = [
    ["x-our-1", "v"],
    [":path", "/a"],
    ["token", "s", true],
    ["x-our-2", "w", true],
    ...kept.slice(2),
  ];
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(pairs(filter.apply(table.head(added))), kept);
    const clean = table.head(kept);
    assert.equal(filter.apply(clean), clean, "a head without them is the same object");
  }
});

test("the filter is right about more lists than it remembers, and about lists that its table does not keep", () => {
  const table = new HeaderTable({ ...defaultHeaderTableLimits, lists: 50 });
  const filter = new HeadFilter(table, (name) => name === "drop");
  for (let at = 0; at < 5000; at++) {
    const clean = table.head([
      [":path", `/${at % 3000}`],
      [`x-${at % 7}`, `${at}`],
    ]);
    assert.equal(filter.apply(clean), clean);
    const dirty = filter.apply(
      table.head([
        [":path", `/${at % 3000}`],
        ["drop", "1"],
        [`x-${at % 7}`, `${at}`],
      ]),
    );
    assert.deepEqual(pairs(dirty), pairs(clean));
  }
});

test("no more lists are remembered than the bound says", () => {
  const table = new HeaderTable();
  const filter = new HeadFilter(table, (name) => name === "drop");
  let most = 0;
  for (let at = 0; at < 5000; at++) {
    filter.apply(
      table.head([
        [":path", `/${at % 500}`],
        [`x-${at % 400}`, "1"],
      ]),
    );
    const remembered: unknown = Reflect.get(filter, "clean");
    assert.ok(remembered instanceof Set);
    most = Math.max(most, remembered.size);
  }
  assert.equal(most, 1024);
});

test("a field is set where it stands, or at the end, once", () => {
  const table = new HeaderTable();
  const set = (...before: Pair[]): Pair[] => pairs(withField(table, table.head(before), "grpc-timeout", "5m"));
  assert.deepEqual(set(["a", "1"]), [
    ["a", "1"],
    ["grpc-timeout", "5m"],
  ]);
  assert.deepEqual(set(), [["grpc-timeout", "5m"]]);
  assert.deepEqual(set(["grpc-timeout", "1S"], ["a", "1"]), [
    ["grpc-timeout", "5m"],
    ["a", "1"],
  ]);
  // The empty value is a fixed field, and not a slot as others of this name are.
  assert.deepEqual(set(["a", "1"], ["grpc-timeout", ""], ["b", "1"]), [
    ["a", "1"],
    ["grpc-timeout", "5m"],
    ["b", "1"],
  ]);
  assert.deepEqual(set(["traceparent", "x"], ["grpc-timeout", "1S"], ["x-request-id", "y"], ["grpc-timeout", "2S"]), [
    ["traceparent", "x"],
    ["grpc-timeout", "5m"],
    ["x-request-id", "y"],
  ]);
});

test("setting a field leaves the head that it was made of alone", () => {
  const table = new HeaderTable();
  const head = table.head([
    ["traceparent", "x"],
    ["grpc-timeout", "1S"],
    ["authorization", "secret"],
  ]);
  const edited = withField(table, head, "grpc-timeout", "5m");
  assert.equal(head.get("grpc-timeout"), "1S");
  assert.deepEqual(pairs(edited), [
    ["traceparent", "x"],
    ["grpc-timeout", "5m"],
    ["authorization", "secret", true],
  ]);
});

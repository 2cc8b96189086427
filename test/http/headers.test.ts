import assert from "node:assert/strict";
import { test } from "node:test";
import {
  defaultHeaderTableLimits,
  HeadBuilder,
  type HeaderList,
  HeaderTable,
  type HeaderTableLimits,
} from "../../src/http/headers.ts";

function newTable(limits: Partial<HeaderTableLimits> = {}): HeaderTable {
  return new HeaderTable({ ...defaultHeaderTableLimits, ...limits });
}

const call: [string, string][] = [
  [":method", "POST"],
  [":path", "/a.B/C"],
  ["content-type", "application/grpc"],
];

test("equal heads have the same list, and other order, values or names another one", () => {
  const table = newTable();
  const { list } = table.head(call);
  assert.equal(table.head(call).list, list);
  assert.notEqual(table.head(call.toReversed()).list, list);
  assert.notEqual(table.head(call.slice(0, 2)).list, list);
  assert.notEqual(table.head([...call.slice(0, 2), ["content-type", "application/json"]]).list, list);
  assert.notEqual(table.head([...call, ["content-type", "application/grpc"]]).list, list);
  assert.equal(list.kept, true);
  assert.equal(list.length, 3);
});

test("entries come back in order, with duplicates, slots, secrets and every octet", () => {
  const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
  const fields: [string, string, boolean][] = [
    [":path", "/", false],
    ["traceparent", "00-1", false],
    ["x-a", all, false],
    ["x-secret", "s", true],
    ["x-a", "2", false],
    ["cookie", "c=1", false],
    ["cookie", "c=2", false],
    ["traceparent", "", false],
  ];
  const head = newTable().head(fields);
  assert.deepEqual(
    [...head.entries()],
    fields.map(([name, value, secret]) => [name, value, secret || name === "cookie"]),
  );
  assert.equal(head.values.length, head.list.slots);
});

test("a value that varies from call to call is beside the list", () => {
  const table = newTable();
  const first = table.head([...call, ["grpc-timeout", "1S"], ["x-request-id", "a"]]);
  const second = table.head([...call, ["grpc-timeout", "2S"], ["x-request-id", "b"]]);
  assert.equal(first.list, second.list);
  assert.equal(first.list.slots, 2);
  assert.deepEqual(first.values, ["1S", "a"]);
  assert.deepEqual(second.values, ["2S", "b"]);
});

test("get finds the first value of a name, fixed or in its slot", () => {
  const head = newTable().head([...call, ["x-request-id", "r"], ["grpc-timeout", "1S"], ["x-a", "1"], ["x-a", "2"]]);
  assert.equal(head.get(":path"), "/a.B/C");
  assert.equal(head.get("x-request-id"), "r");
  assert.equal(head.get("grpc-timeout"), "1S");
  assert.equal(head.get("x-a"), "1");
  assert.equal(head.get("x-b"), undefined);
  assert.equal(newTable().head([]).get("x-a"), undefined);
});

test("the size counts names, values and 32 octets a field", () => {
  const table = newTable();
  assert.equal(table.head([]).size, 0);
  assert.equal(table.head([["x-a", "12"]]).size, 3 + 2 + 32);
  const head = table.head([
    ["x-a", "12"],
    ["grpc-timeout", "1S"],
    ["cookie", "abc"],
  ]);
  assert.equal(head.size, 37 + (12 + 2 + 32) + (6 + 3 + 32));
  assert.equal(head.list.size, head.size - 5);
});

test("a secret is in no list that is kept, and nothing is interned of it", () => {
  const table = newTable();
  for (const name of ["authorization", "cookie", "set-cookie", "proxy-authorization", "x-forwarded-client-cert"]) {
    const first = table.head([[name, "one"]]);
    const second = table.head([[name, "two"]]);
    assert.equal(first.list, second.list);
    assert.equal(first.list.fields[0]?.secret, true);
    assert.deepEqual(first.values, ["one"]);
    assert.equal(table.name(name).values?.size, 0);
  }
  const marked = table.head([["x-api-key", "k", true]]);
  assert.deepEqual(marked.values, ["k"]);
  assert.notEqual(marked.list, table.head([["x-api-key", "k"]]).list);
});

test("a value that decides whether a head is valid stays in its list even where it is secret", () => {
  const table = newTable();
  for (const [name, value] of [
    [":method", "CONNECT"],
    [":scheme", "http"],
    [":status", "200"],
    ["te", "gzip"],
    [":path", ""],
  ] as const) {
    const head = table.head([[name, value, true]]);
    assert.deepEqual(head.values, [], name);
    assert.deepEqual([...head.entries()], [[name, value, true]]);
    assert.equal(head.list.kept, false);
  }
});

test("a name with more values than are kept becomes a slot", () => {
  const table = newTable({ valuesPerName: 3 });
  for (let i = 0; i < 3; i++) assert.deepEqual(table.head([["x-id", `${i}`]]).values, []);
  assert.deepEqual(table.head([["x-id", "3"]]).values, ["3"]);
  assert.deepEqual(table.head([["x-id", "0"]]).values, ["0"]);
  assert.equal(table.name("x-id").values?.size, 3);
});

test("methods and hosts that are known stay known behind the bound, and others are slots", () => {
  const table = newTable({ valuesPerName: 1, valuesPerTarget: 3 });
  for (const name of [":path", ":authority"]) {
    for (let i = 0; i < 3; i++) assert.deepEqual(table.head([[name, `/${i}`]]).values, []);
    for (let i = 3; i < 100; i++) assert.deepEqual(table.head([[name, `/${i}`]]).values, [`/${i}`]);
    assert.deepEqual(table.head([[name, "/0"]]).values, []);
    assert.equal(table.name(name).values?.size, 3);
  }
});

test("a value that decides whether a head is valid is never a slot, however many there are and however long", () => {
  const table = newTable({ valuesPerName: 2, valueSize: 10 });
  for (const value of ["A", "B", "C", "D", "x".repeat(100)]) {
    const head = table.head([[":method", value]]);
    assert.deepEqual(head.values, []);
    assert.equal(head.get(":method"), value);
    assert.equal(head.list.kept, value < "C");
  }
  assert.equal(table.name(":method").values?.size, 2);
});

test("a value longer than is worth keeping is a slot, and the name goes on being kept", () => {
  const table = newTable({ valueSize: 10 });
  assert.deepEqual(table.head([["x-a", "12345678901"]]).values, ["12345678901"]);
  assert.deepEqual(table.head([["x-a", "1234567890"]]).values, []);
});

test("the empty value is part of the list whatever the name", () => {
  const table = newTable({ valuesPerName: 1 });
  for (const name of ["grpc-message", ":path", "x-a"]) {
    table.head([[name, "1"]]);
    table.head([[name, "2"]]);
    assert.deepEqual(table.head([[name, ""]]).values, []);
  }
});

test("names are kept up to their bound, those of the protocol beyond it", () => {
  const table = newTable({ names: 3 });
  for (const name of ["a", "b", "c"]) assert.equal(table.head([[name, "v"]]).list.kept, true);
  const head = table.head([["d", "v"]]);
  assert.equal(head.list.kept, false);
  assert.deepEqual(head.values, ["v"]);
  assert.deepEqual([...head.entries()], [["d", "v", false]]);
  assert.equal(table.stats.names, 3);
  assert.equal(table.head(call.slice(0, 2)).list.kept, true);
});

test("a name longer than is worth keeping is not kept", () => {
  const table = newTable({ valueSize: 10 });
  assert.equal(table.head([["x".repeat(11), "v"]]).list.kept, false);
  assert.equal(table.head([["x".repeat(10), "v"]]).list.kept, true);
  assert.equal(table.stats.names, 1);
});

test("lists are kept up to their bound, and are right beyond it", () => {
  const table = newTable({ lists: 4 });
  for (let i = 0; i < 4; i++) assert.equal(table.head([["x-a", `${i}`]]).list.kept, true);
  const pairs: [string, string][] = [
    ["x-a", "1"],
    ["x-b", "2"],
    ["grpc-timeout", "1S"],
  ];
  const head = table.head(pairs);
  assert.equal(head.list.kept, false);
  assert.deepEqual(
    Array.from(head.entries(), ([name, value]) => [name, value]),
    pairs,
  );
  assert.equal(table.stats.lists, 4);
  assert.equal(table.head([["x-a", "3"]]).list.kept, true);
});

test("a stranger's noise does not keep the regular lists out for ever", () => {
  const table = newTable({ names: 10, lists: 20, missesUntilReset: 100 });
  let noise = 0;
  const first = table.root;
  while (table.root === first) {
    table.head([[`noise-${noise++}`, "v"]]);
    assert.ok(table.stats.names <= 10 && table.stats.lists <= 20);
  }
  assert.ok(noise < 150);
  assert.equal(table.head(call).list.kept, true);
  assert.equal(table.head(call).list, table.head(call).list);
});

test("a stranger's many paths do not keep the regular ones out for ever", () => {
  const table = newTable({ valuesPerTarget: 5, missesUntilReset: 100 });
  for (let i = 0; i < 5; i++) table.head([[":path", `/noise/${i}`]]);
  assert.deepEqual(table.head([[":path", "/regular"]]).values, ["/regular"]);
  const { root } = table;
  for (let i = 0; table.root === root && i < 200; i++) table.head([[":path", `/noise/${i}`]]);
  assert.notEqual(table.root, root);
  assert.deepEqual(table.head([[":path", "/regular"]]).values, []);
});

test("who holds a list of an earlier generation does not hold the others of it", () => {
  const table = newTable({ names: 10, lists: 20, missesUntilReset: 10 });
  const held = table.head([...call, ["x-a", "v"]]).list;
  const name = table.name("x-a");
  const { root } = table;
  while (table.root === root) table.head([["x".repeat(1000), "v"]]);
  for (let at: HeaderList | undefined = held; at !== undefined; at = at.parent) {
    assert.equal(at.children, undefined);
    assert.equal(at.lastChild, undefined);
    assert.equal(at.lastField, undefined);
  }
  assert.equal(name.values?.size, 0);
  assert.deepEqual(
    held.fields.map((field) => field.value),
    ["POST", "/a.B/C", "application/grpc", "v"],
  );
});

test("a new generation begins however long a list of the earlier one is", () => {
  const fields = 100_000;
  const table = newTable({ lists: fields, missesUntilReset: 1 });
  const { list } = table.head(Array.from({ length: fields }, () => ["x-a", "v"] as const));
  assert.equal(list.fields.length, fields);
  const { root } = table;
  table.name("x".repeat(1000));
  assert.notEqual(table.root, root);
  assert.equal(root.children, undefined);
});

test("a builder that a new generation surprises goes on from the list it has, and then from the new root", () => {
  const table = newTable({ missesUntilReset: 1 });
  const builder = new HeadBuilder(table);
  const add = (text: string, value: string): void => builder.add(table.field(table.name(text), value, false), value);
  add("x-a", "1");
  const { root } = table;
  table.name("x".repeat(1000));
  assert.notEqual(table.root, root);
  add("x-b", "2");
  assert.deepEqual(
    Array.from(builder.take().entries(), ([name, value]) => [name, value]),
    [
      ["x-a", "1"],
      ["x-b", "2"],
    ],
  );
  add("x-a", "1");
  assert.equal(builder.take().list.parent, table.root);
});

test("a builder starts anew after each head", () => {
  const table = newTable();
  const builder = new HeadBuilder(table);
  const timeout = table.name("grpc-timeout");
  builder.add(timeout.slot, "1S");
  const first = builder.take();
  builder.add(timeout.slot, "2S");
  const second = builder.take();
  assert.deepEqual(first.values, ["1S"]);
  assert.deepEqual(second.values, ["2S"]);
  assert.equal(builder.take().list, table.root);
});

test("a thousand heads with a path, a session and a token of their own stay within the bounds", () => {
  const limits = { names: 40, valuesPerName: 8, valuesPerTarget: 16, valueSize: 64, lists: 100, missesUntilReset: 300 };
  const table = newTable(limits);
  for (let i = 0; i < 1000; i++) {
    const head = table.head([...call, [":path", `/p/${i}`], ["x-session", `${i}`], ["authorization", `t${i}`]]);
    assert.equal(head.get("x-session"), `${i}`);
    assert.ok(table.stats.lists <= 100 && table.stats.names <= 40);
  }
});

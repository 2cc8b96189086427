import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../../src/http/headers.ts";
import { DynamicTable } from "../../../src/http2/hpack/dynamic-table.ts";
import { seededInteger } from "../../support/random-integer.ts";

const headers = new HeaderTable();

function insert(table: DynamicTable, name: string, value: string): void {
  const known = headers.name(name);
  table.insert(known, headers.field(known, value, false), value);
}

/** What the table holds, newest first. */
function content(table: DynamicTable): string[] {
  const lines: string[] = [];
  for (let age = 1; age <= table.length; age++) {
    const entry = table.entry(age);
    lines.push(`${entry?.name.text}: ${entry?.value}`);
  }
  return lines;
}

test("the newest entry comes first, and there is none beyond the oldest", () => {
  const table = new DynamicTable(4096);
  assert.equal(table.entry(1), undefined);
  insert(table, "a", "1");
  insert(table, "b", "2");
  assert.deepEqual(content(table), ["b: 2", "a: 1"]);
  assert.equal(table.size, 2 * 34);
  assert.equal(table.entry(3), undefined);
});

test("an entry that needs room evicts the oldest ones, and no more than it must", () => {
  const table = new DynamicTable(3 * 34);
  for (const name of ["a", "b", "c"]) insert(table, name, "1");
  assert.equal(table.length, 3);
  insert(table, "d", "12");
  assert.deepEqual(content(table), ["d: 12", "c: 1"]);
  assert.equal(table.size, 69);
});

test("an entry as large as the table fits alone, and a larger one empties it", () => {
  const table = new DynamicTable(100);
  insert(table, "a", "1");
  insert(table, "b", "x".repeat(67));
  assert.deepEqual(content(table), [`b: ${"x".repeat(67)}`]);
  assert.equal(table.size, 100);
  insert(table, "c", "x".repeat(68));
  assert.deepEqual(content(table), []);
  assert.equal(table.size, 0);
  insert(table, "d", "");
  assert.deepEqual(content(table), ["d: "]);
});

test("a table of size 0 holds nothing", () => {
  const table = new DynamicTable(0);
  insert(table, "", "");
  assert.equal(table.length, 0);
  assert.equal(table.size, 0);
});

test("a smaller size evicts the oldest ones, and a larger one evicts nothing", () => {
  const table = new DynamicTable(4096);
  for (const name of ["a", "b", "c"]) insert(table, name, "1");
  table.resize(3 * 34);
  assert.equal(table.length, 3);
  table.resize(3 * 34 - 1);
  assert.deepEqual(content(table), ["c: 1", "b: 1"]);
  table.resize(4096);
  assert.equal(table.length, 2);
  table.resize(0);
  assert.equal(table.length, 0);
});

test("an evicted value is let go", () => {
  const table = new DynamicTable(4096);
  insert(table, "a", "secret");
  const entry = table.entry(1);
  table.resize(0);
  assert.equal(entry?.value, "");
});

test("it agrees with a list that is kept the plain way through 20,000 random insertions and sizes", () => {
  const random = seededInteger(7);
  const table = new DynamicTable(4096);
  let model: string[] = [];
  let maxSize = 4096;
  const trim = (room: number): void => {
    while (model.length > 0 && room + model.reduce((size, line) => size + line.length + 30, 0) > maxSize) model.pop();
  };
  for (let round = 0; round < 20_000; round++) {
    if (random(50) === 0) {
      maxSize = random(3) === 0 ? random(200) : random(8192);
      table.resize(maxSize);
      trim(0);
    } else {
      const name = `n${random(10)}`;
      const value = "v".repeat(random(10) === 0 ? random(5000) : random(30));
      insert(table, name, value);
      const size = name.length + value.length + 32;
      trim(size);
      if (size <= maxSize) model = [`${name}: ${value}`, ...model];
    }
    if (round % 10 === 0) assert.deepEqual(content(table), model);
    assert.equal(table.length, model.length);
  }
});

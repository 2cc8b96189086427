import assert from "node:assert/strict";
import { test } from "node:test";
import { cookie } from "../../src/http/cookie.ts";
import { HeaderTable } from "../../src/http/headers.ts";

const table = new HeaderTable();

test("a cookie is found in any of the fields, by its whole name", () => {
  const head = table.head([
    ["cookie", "a=1; b=two=2;c = 3"],
    ["x", "d=4"],
    ["cookie", "e=5"],
  ]);
  const expected = { a: "1", b: "two=2", c: "3", d: undefined, e: "5", "": undefined };
  for (const [name, value] of Object.entries(expected)) assert.equal(cookie(head, name), value, name);
  assert.equal(cookie(table.head([]), "a"), undefined);
});

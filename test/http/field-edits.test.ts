import assert from "node:assert/strict";
import { test } from "node:test";
import { FieldEdits } from "../../src/http/field-edits.ts";
import { HeaderTable } from "../../src/http/headers.ts";

test("fields are removed, set in their place and added at the end; the others stay as they are", () => {
  const table = new HeaderTable();
  const edits = new FieldEdits(table, {
    remove: ["gone"],
    set: new Map([
      ["tenant", "b"],
      ["new", "1"],
    ]),
    add: new Map([["more", "2"]]),
  });
  const head = table.head([
    [":path", "/a"],
    ["tenant", "a"],
    ["gone", "x"],
    ["authorization", "secret", true],
    ["tenant", "c"],
    ["more", "1"],
    ["gone", "y"],
  ]);
  assert.deepEqual(
    [...edits.apply(head).entries()],
    [
      [":path", "/a", false],
      ["tenant", "b", false],
      ["authorization", "secret", true],
      ["more", "1", false],
      ["new", "1", false],
      ["more", "2", false],
    ],
  );
});

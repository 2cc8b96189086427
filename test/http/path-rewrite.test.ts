import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { PathRewrite } from "../../src/http/path-rewrite.ts";

const table = new HeaderTable();
const rewritten = (edit: PathRewrite, path: string): string | undefined =>
  edit
    .apply(
      table.head([
        [":method", "POST"],
        [":path", path],
        ["x", "1"],
      ]),
    )
    .get(":path");

test("a path's beginning, or all of it but its query, is another one", () => {
  const prefix = new PathRewrite(table, "/c.D/", "/a.B/".length);
  assert.equal(rewritten(prefix, "/a.B/Get"), "/c.D/Get");
  assert.equal(rewritten(prefix, "/A.b/Get?x=1"), "/c.D/Get?x=1");
  const whole = new PathRewrite(table, "/c.D/List", undefined);
  assert.equal(rewritten(whole, "/a.B/Get"), "/c.D/List");
  assert.equal(rewritten(whole, "/a.B/Get?x=1"), "/c.D/List?x=1");
});

import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "../../src/core/make-folder.ts";

test("a folder is made with those that it is in, by several at once, and one that is there stays", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "outrigger-folder-"));
  t.after(() => rm(root, { recursive: true }));
  const path = join(root, "a", "b", "c");
  await Promise.all([makeFolder(path, 0o700), makeFolder(path, 0o700), makeFolder(join(root, "a", "b"), 0o700)]);
  await makeFolder(path, 0o700);
  for (const folder of [path, join(root, "a")]) {
    const { mode } = await stat(folder);
    assert.equal(mode & 0o777, 0o700);
  }
  await writeFile(join(root, "file"), "");
  await assert.rejects(makeFolder(join(root, "file", "x")), { code: "ENOTDIR" });
});

test("where a folder cannot be made, as under /proc, that is said and not tried for ever", async () => {
  const path = process.platform === "linux" ? "/proc/x/y" : "/dev/null/x";
  await assert.rejects(makeFolder(path), /ENOENT|ENOTDIR/);
});

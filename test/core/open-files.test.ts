import assert from "node:assert/strict";
import { test } from "node:test";
import { openFilesLimit, softLimit } from "../../src/core/open-files.ts";

const header = "Limit                     Soft Limit           Hard Limit           Units     \n";

test("the soft limit of open files is read from what the system says of a process", () => {
  const of = (line: string): number | undefined => softLimit(`${header}${line}`);
  assert.equal(of("Max open files            1024                 524288               files     \n"), 1024);
  assert.equal(of("Max open files            unlimited            unlimited            files     \n"), undefined);
  assert.equal(of("Max processes             7                    7                    processes \n"), undefined);
});

test("this process has one where the system says so", { skip: process.platform !== "linux" }, () => {
  assert.ok(Number(openFilesLimit()) > 16);
});

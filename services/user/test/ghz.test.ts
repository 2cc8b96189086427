import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import { requirePart, skipUnless } from "../../../test/support/real-parts.ts";
import { serve } from "./support/serve.ts";

it("ghz.ts makes calls of every kind, and a row of each", skipUnless("ghz"), async (t) => {
  const { address } = await serve(t);
  const script = join(import.meta.dirname, "..", "ghz.ts");
  const args = [script, "--calls=100", "--rounds=1", `one=${address}`, `other=${address}`];
  const env = { ...process.env, GHZ: requirePart("ghz") };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  const [head, , ...rows] = stdout.trim().split("\n");
  assert.equal(head, "| call | one | other |");
  assert.equal(rows.length, 4);
  for (const row of rows)
    assert.match(row, /^\| \w+.* \| \d+\/s, [\d.]+ \/ [\d.]+ ms \| \d+\/s, [\d.]+ \/ [\d.]+ ms \|$/);
});

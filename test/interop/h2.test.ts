import assert from "node:assert/strict";
import { test } from "node:test";
import { skipUnless } from "../support/real-parts.ts";
import { h2Pairs } from "./h2-pairs.ts";
import { runPair, verdict } from "./pairs.ts";

for (const [client, server] of h2Pairs) {
  const title = `${client.name} asks ${server.name} as if no sidecar were there, through one, through two, and through two by mTLS`;
  test(title, skipUnless(...client.parts, ...server.parts), async (t) => {
    const rows = await runPair(client, server);
    assert.notEqual(rows.length, 0);
    for (const row of rows) await t.test(row.name, () => assert.equal(verdict(row), undefined));
  });
}

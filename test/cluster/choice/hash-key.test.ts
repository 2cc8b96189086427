import assert from "node:assert/strict";
import { test } from "node:test";
import { hashKey } from "../../../src/cluster/choice/hash-key.ts";
import type { HashPolicy } from "../../../src/discovery/consul/chain/chain.ts";
import { Call } from "../../../src/http/call.ts";
import { HeaderTable } from "../../../src/http/headers.ts";

const table = new HeaderTable();

function call(path: string, peer: string, ...fields: (readonly [string, string])[]): Call {
  return new Call("outbound", peer, table.head(fields), path, true, 0);
}

function hash(parts: readonly HashPolicy[], of: Call): number | undefined {
  return hashKey({ by: "parts", parts })(of);
}

const part = (from: HashPolicy["from"], name = "", terminal = false): HashPolicy => ({ from, name, terminal });

test("each part of a hash is what it says", () => {
  const same = (parts: HashPolicy[], one: Call, other: Call) => hash(parts, one) === hash(parts, other);
  assert.ok(same([part("source")], call("/a", "10.0.0.1:1"), call("/b", "10.0.0.1:2")), "the port is none of it");
  assert.ok(!same([part("source")], call("/a", "10.0.0.1:1"), call("/a", "10.0.0.2:1")));
  assert.ok(same([part("query", "u")], call("/a?u=1", "x"), call("/b?v=2&u=1", "x")));
  const cookie = (text: string) => call("/a", "x", ["cookie", text]);
  assert.ok(same([part("cookie", "u")], cookie("u=1"), cookie("v=2; u=1")));
  assert.ok(!same([part("cookie", "u")], cookie("u=1"), cookie("u=2")));
  assert.equal(hash([part("cookie", "u"), part("header", "x"), part("query", "u")], call("/a", "x")), undefined);
});

test("parts count together and in their order, and none behind one that is terminal and has a value", () => {
  const [one, two] = [call("/a", "x", ["x-a", "1"], ["x-b", "1"]), call("/a", "x", ["x-a", "1"], ["x-b", "2"])];
  const [a, b] = [part("header", "x-a"), part("header", "x-b")];
  assert.notEqual(hash([a, b], one), hash([a, b], two));
  assert.notEqual(hash([a, b], two), hash([b, a], two));
  const last = part("header", "x-a", true);
  assert.equal(hash([last, b], one), hash([last, b], two));
  assert.equal(
    hash([last, b], call("/a", "x", ["x-b", "2"])),
    hash([b], two),
    "where it has none the next one is asked",
  );
});

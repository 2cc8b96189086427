import assert from "node:assert/strict";
import { test } from "node:test";
import { consulName, consulQuestion } from "../../src/discovery/consul-name.ts";

test("what is asked of Consul is one name, and can be read back", () => {
  const questions = [
    ["orders", { kind: "service", service: "orders", datacenter: undefined }],
    ["orders@dc2", { kind: "service", service: "orders", datacenter: "dc2" }],
    ["query:orders-anywhere", { kind: "query", query: "orders-anywhere" }],
  ] as const;
  for (const [name, question] of questions) {
    assert.equal(consulName(question), name);
    assert.deepEqual(consulQuestion(name), question);
  }
});

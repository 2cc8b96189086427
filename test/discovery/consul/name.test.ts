import assert from "node:assert/strict";
import { test } from "node:test";
import { consulName, consulQuestion } from "../../../src/discovery/consul/name.ts";

test("what is asked of Consul is one name, and can be read back", () => {
  const questions = [
    ["orders", { kind: "service", service: "orders", datacenter: undefined }],
    ["orders@dc2", { kind: "service", service: "orders", datacenter: "dc2" }],
    ["query:orders-anywhere", { kind: "query", query: "orders-anywhere" }],
    ["chain:orders", { kind: "chain", service: "orders", datacenter: undefined }],
    ["chain:orders@dc2", { kind: "chain", service: "orders", datacenter: "dc2" }],
    [
      "orders@dc2 where Service.Meta.version == v1 or any where",
      {
        kind: "service",
        service: "orders",
        datacenter: "dc2",
        subset: { filter: "Service.Meta.version == v1 or any where", health: "passing" },
      },
    ],
    [
      "orders any where ",
      { kind: "service", service: "orders", datacenter: undefined, subset: { filter: "", health: "any" } },
    ],
  ] as const;
  for (const [name, question] of questions) {
    assert.equal(consulName(question), name);
    assert.deepEqual(consulQuestion(name), question);
  }
});

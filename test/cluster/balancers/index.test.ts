import assert from "node:assert/strict";
import { test } from "node:test";
import { balancers } from "../../../src/cluster/balancers/index.ts";
import { balancerContract, spreadingContract } from "../../contracts/balancer.ts";

for (const balancer of Object.values(balancers)) {
  balancerContract(balancer);
  if (balancer.name !== "pickFirst") spreadingContract(balancer);
}

test("a balancer stands in the table under its own name", () => {
  for (const [word, { name }] of Object.entries(balancers)) assert.equal(name, word);
});

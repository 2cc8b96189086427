import assert from "node:assert/strict";
import test from "node:test";
import { closest } from "../../src/config/closest.ts";

const keys = ["service", "listeners", "upstreams", "workers", "rateLimits", "onDemand", "id", "hosts"];

const rows: readonly [string, string | undefined][] = [
  ["servce", "service"],
  ["sevrice", "service"],
  ["serviced", "service"],
  ["Service", "service"],
  ["on_demand", "onDemand"],
  ["on-demand", "onDemand"],
  ["ratelimit", "rateLimits"],
  ["listner", "listeners"],
  ["ids", "id"],
  ["host", "hosts"],
  ["orders", undefined],
  ["upstreamServers", undefined],
  ["x", undefined],
  ["", undefined],
  ["s".repeat(100_000), undefined],
];

for (const [word, expected] of rows) {
  test(`${JSON.stringify(word.slice(0, 20))} is taken for ${expected ?? "nothing that there is"}`, () => {
    assert.equal(closest(word, keys), expected);
  });
}

test("the nearest of several is taken, and the first of equals", () => {
  assert.equal(closest("error", ["errors", "error"]), "error");
  assert.equal(closest("cert", ["cart", "cent"]), "cart");
});

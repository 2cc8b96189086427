import assert from "node:assert/strict";
import { test } from "node:test";
import { matchMethod } from "../../src/http/call-match.ts";

test("a pattern of methods means a path whatever its query, and `*` all but health checks", () => {
  const means = (pattern: string, paths: readonly string[]): boolean[] => paths.map(matchMethod(pattern));
  const paths = ["/orders/list", "/orders/list?page=2", "/orders/lists", "/orders/list/2", "/orders?list"];
  assert.deepEqual(means("orders/list", paths), [true, true, false, false, false]);
  assert.deepEqual(means("orders/*", paths), [true, true, true, true, false]);
  const health = "/grpc.health.v1.Health/";
  assert.deepEqual(means("*", ["/", "/a?b", `${health}Check`, `${health}Watch`]), [true, true, false, false]);
  for (const path of ["../orders/list", "%2e%2e/orders/list", "..;/orders/list", "..", "Check/../../orders/list"])
    assert.ok(matchMethod("*")(`${health}${path}`), `${path} is no health check`);
});

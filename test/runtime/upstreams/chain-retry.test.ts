import assert from "node:assert/strict";
import { test } from "node:test";
import type { RetryConfig } from "../../../src/config/types.ts";
import { chainRetry } from "../../../src/runtime/upstreams/chain-retry.ts";

const own: RetryConfig = {
  attempts: 3,
  budget: 0.5,
  statuses: ["aborted"],
  perTryTimeout: 500,
  hedgeAfter: undefined,
  backoff: { base: 25, max: 250 },
  idempotentMethods: ["a.B/Get"],
  descriptors: undefined,
};

test("Consul says how often and after what, the upstream which methods, how fast and how many in all", () => {
  const retry = {
    retries: 4,
    on: ["unavailable", "resource-exhausted", "5xx", "connect-failure"],
    statuses: [503, 404],
  };
  assert.deepEqual(chainRetry(own, retry), {
    ...own,
    attempts: 5,
    statuses: ["unavailable", "resourceExhausted", "unimplemented"],
  });
});

test("what provably was not processed needs no status", () => {
  assert.deepEqual(
    chainRetry(own, { retries: 1, on: ["connect-failure", "refused-stream"], statuses: [] }).statuses,
    [],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { shareConfig } from "../../src/workers/share-config.ts";
import { good } from "../config/load-text.ts";

test("each worker has its part of the hard limits, rounded up, so that all together may have N - 1 more", () => {
  const limits = { maxConnections: 5, maxConcurrent: 10, maxQueue: 7 };
  const config = good(
    JSON.stringify({
      workers: 3,
      discovery: { consul: {} },
      names: { onDemand: { rate: "9/s" } },
      upstreams: { orders: { limits }, free: {} },
    }),
  );
  const shared = shareConfig(config, 3);
  const { maxConnections, maxConcurrent, maxQueue } = shared.upstreams.get("orders")?.limits ?? {};
  assert.deepEqual({ maxConnections, maxConcurrent, maxQueue }, { maxConnections: 2, maxConcurrent: 4, maxQueue: 3 });
  for (const [name, whole] of Object.entries(limits)) {
    const part = Reflect.get(shared.upstreams.get("orders")?.limits ?? {}, name);
    assert.ok(3 * part >= whole && 3 * part <= whole + 2, `${name}: three times ${part}`);
  }
  assert.equal(shared.upstreams.get("free")?.limits, undefined, "no limit stays none");
  assert.equal(shared.names.onDemand.rate, config.names.onDemand.rate / 3);
});

test("without its store a rate limit's local share is divided; a limit that the control thread counts is leased whole", () => {
  const config = good(
    JSON.stringify({
      service: { name: "user", address: "127.0.0.1:1" },
      workers: 2,
      rateLimits: [
        { name: "far", limit: "100/s", store: "redis://127.0.0.1:1", localShare: "50%" },
        { name: "near", limit: "100/s" },
      ],
    }),
  );
  const [far, near] = shareConfig(config, 2).rateLimits.map(({ counted }) =>
    counted.by === "service" ? undefined : counted,
  );
  assert.equal(far?.shared?.localShare, 0.25);
  assert.deepEqual([near?.pace, near?.shared], [far?.pace, undefined]);
});

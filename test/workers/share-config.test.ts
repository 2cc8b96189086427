import assert from "node:assert/strict";
import { test } from "node:test";
import { shareConfig } from "../../src/workers/share-config.ts";
import { good } from "../config/load-text.ts";

test("the workers' parts of a hard limit come to the limit, and each has one at least", () => {
  const limits = { maxConnections: 5, maxConcurrent: 10, maxQueue: 7 };
  const config = good(
    JSON.stringify({
      workers: 3,
      discovery: { consul: {} },
      names: { onDemand: { rate: "9/s" } },
      upstreams: { orders: { limits }, small: { limits: { maxConcurrent: 2, maxConnections: 1 } }, free: {} },
    }),
  );
  const shared = [0, 1, 2].map((at) => shareConfig(config, { at, of: 3 }));
  const parts = (upstream: string, name: string) =>
    shared.map(({ upstreams }) => Reflect.get(upstreams.get(upstream)?.limits ?? {}, name));
  assert.deepEqual(parts("orders", "maxConnections"), [2, 2, 1]);
  assert.deepEqual(parts("orders", "maxConcurrent"), [4, 3, 3]);
  assert.deepEqual(parts("orders", "maxQueue"), [3, 2, 2]);
  assert.deepEqual(
    parts("small", "maxConcurrent"),
    [1, 1, 1],
    "a thread without a place would refuse all of its calls",
  );
  assert.deepEqual(parts("small", "maxConnections"), [1, 1, 1]);
  assert.deepEqual(parts("small", "maxQueue"), [0, 0, 0]);
  for (const { upstreams, names } of shared) {
    assert.equal(upstreams.get("free")?.limits, undefined, "no limit stays none");
    assert.equal(names.onDemand.rate, config.names.onDemand.rate / 3);
  }
});

test("the workers' parts of how many connections callers may open come to that as well", () => {
  const config = good("workers: 3\nconnections: { outbound: { max: 10, maxPerSource: 2, maxAge: 1h } }\n");
  const shared = [0, 1, 2].map((at) => shareConfig(config, { at, of: 3 }).connections);
  assert.deepEqual(
    shared.map(({ outbound: { max, maxPerSource, maxAge } }) => [max, maxPerSource, maxAge]),
    [
      [4, 1, 3_600_000],
      [3, 1, 3_600_000],
      [3, 1, 3_600_000],
    ],
  );
  assert.deepEqual(
    shared.map(({ inbound: { max, maxPerSource } }) => [max, maxPerSource]),
    [
      [3334, undefined],
      [3333, undefined],
      [3333, undefined],
    ],
  );
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
  const [far, near] = shareConfig(config, { at: 0, of: 2 }).rateLimits.map(({ counted }) =>
    counted.by === "service" || counted.by === "quota" ? undefined : counted,
  );
  assert.equal(far?.shared?.localShare, 0.25);
  assert.deepEqual([near?.pace, near?.shared], [far?.pace, undefined]);
});

test("the workers' parts of a bandwidth come to it, and a burst that is not said is each one's own", () => {
  const config = good(
    JSON.stringify({
      workers: 3,
      service: { name: "a", address: "127.0.0.1:1", bandwidth: { response: "10B/s", burst: "48KiB" } },
      discovery: { consul: {} },
      upstreams: { orders: { bandwidth: { request: "100KiB/s" } } },
    }),
  );
  const shared = [0, 1, 2].map((at) => shareConfig(config, { at, of: 3 }));
  assert.deepEqual(
    shared.map(({ service }) => service?.bandwidth),
    [4, 3, 3].map((response) => ({ request: undefined, response, burst: 16_384 })),
  );
  assert.deepEqual(
    shared.map(({ upstreams }) => upstreams.get("orders")?.bandwidth),
    [34_134, 34_133, 34_133].map((request) => ({ request, response: undefined, burst: undefined })),
  );
});

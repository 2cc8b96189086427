import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../support/ports.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { inScope } from "../support/with-proxy.ts";

test("an upstream of which nobody is up is told as 0 that are, which an alert is made of", async () => {
  await inScope(async (scope) => {
    const up = { discovery: "static", endpoints: [`127.0.0.1:${await freePort()}`] };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    await caller.answer(caller.request(callHead("up"), true));
    const families = parseMetrics((await sidecar.runtime.services.metrics.scrape()).text);
    assert.equal(sampleValue(families, "outrigger_endpoints", { upstream: "up", state: "up" }), 0);
    const all = families.get("outrigger_endpoints")?.samples.map(({ value }) => value) ?? [];
    assert.deepEqual(
      all.toSorted((one, other) => one - other),
      [0, 1],
      "the one that there is has another state",
    );
  });
});

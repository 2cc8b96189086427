import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluateBars } from "./bars.ts";
import { allCases } from "./cases.ts";
import type { MeasuredPeer, Measurement } from "./measurement.ts";
import { renderReport } from "./report.ts";
import type { Sample } from "./sample.ts";

const CASES = allCases(1024 ** 3);
const CASE = "loadgen-varying-100B-10x10";

function sample(cpuUs: number, failures: Record<string, number> = {}): Sample {
  return {
    ...{ calls: 1_000, callsPerSecond: 500, seconds: 2, bytes: 2_000_000, meanUs: 150, p50Us: 100, p99Us: 900 },
    ...{ cpuSeconds: (cpuUs * 1_000) / 1e6, failures },
  };
}

function peer(name: string, cpuUs: number[], memory: number, readyMs: number): MeasuredPeer {
  const processes = [{ readyMs, idleMB: memory, afterMB: memory }];
  return { name, description: name, processes, samples: new Map([[CASE, cpuUs.map((each) => sample(each))]]) };
}

function measurement(...peers: MeasuredPeer[]): Measurement {
  return { cases: CASES, peers };
}

function render(of: Measurement): string {
  const environment = {
    ...{ date: "2026-01-01T00:00:00Z", commit: "abc", processor: "a processor", cores: 2, memoryGB: 8 },
    ...{ kernel: "6.1", go: "go1.26", h2load: "1.52.0", busyBefore: 0.01 },
  };
  return renderReport({
    environment,
    rounds: 3,
    seconds: 3,
    measurement: of,
    bars: evaluateBars(of),
    profiles: new Map(),
  });
}

test("there is every case of the two sizes, three shapes and three loads, two rates and one large answer", () => {
  assert.equal(CASES.length, 2 * 3 * 3 + 2 + 1);
  assert.equal(new Set(CASES.map(({ id }) => id)).size, CASES.length);
});

test("a bar is met at exactly its limit, by the medians, and missed above it", () => {
  const met = evaluateBars(
    measurement(peer("outrigger", [99, 20, 1], 150, 1_000), peer("envoy", [40, 40, 1], 100, 50)),
  );
  assert.deepEqual(
    met.map(({ name, ratio, met }) => ({ name, ratio, met })),
    [
      { name: `CPU a call, ${CASE}`, ratio: 0.5, met: true },
      { name: "resident memory, idle", ratio: 1.5, met: true },
      { name: "resident memory, after", ratio: 1.5, met: true },
      { name: "start to ready", ratio: 1, met: true },
    ],
  );
  const missed = evaluateBars(measurement(peer("outrigger", [21], 151, 1_001), peer("envoy", [40], 100, 50)));
  assert.deepEqual(
    missed.map(({ met }) => met),
    [false, false, false, false],
  );
});

test("nothing is held against a peer that was not measured", () => {
  assert.deepEqual(evaluateBars(measurement(peer("envoy", [40], 100, 50))), []);
  const alone = evaluateBars(measurement(peer("outrigger", [21], 151, 999)));
  assert.deepEqual(
    alone.map(({ name }) => name),
    ["start to ready"],
  );
});

test("a missed bar is published as missed with its ratio", () => {
  const text = render(measurement(peer("outrigger", [30], 100, 500), peer("envoy", [40], 100, 50)));
  assert.match(
    text,
    /\| CPU a call, loadgen-varying-100B-10x10 +\| +30\.0 \| +40\.0 \| +0\.75 \| +0\.5 \| \*\*MISSED\*\* \|/,
  );
  assert.match(text, /\| start to ready .* met \|/);
});

test("figures over rounds are told as median, least and greatest", () => {
  const text = render(measurement(peer("envoy", [40, 10, 20], 100, 50)));
  assert.match(text, /\| loadgen-varying-100B-10x10 +\| +20\.0 \(10\.0-40\.0\) \|/);
});

test("calls that failed are listed by peer, case and kind", () => {
  const failing: MeasuredPeer = {
    ...peer("haproxy", [], 10, 10),
    samples: new Map([[CASE, [sample(1, { "grpc-status 14": 3 })]]]),
  };
  assert.match(render(measurement(failing)), /- haproxy, loadgen-varying-100B-10x10: 3 x grpc-status 14/);
});

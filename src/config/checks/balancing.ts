import { hashing } from "../../cluster/balancers/index.ts";
import { closest } from "../closest.ts";
import type { Draft } from "../draft.ts";
import { formatPath, type Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { effectiveSource } from "./discovery.ts";
import { isDefault } from "./is-default.ts";

type Upstream = Draft<FileConfig["upstreams"]> extends ReadonlyMap<string, infer U> ? U : never;

/** Settings of balancing and health that contradict each other, or that nothing looks at. */
export function checkBalancing(draft: Draft<FileConfig>, reading: Reading): void {
  const zone = draft.service?.meta?.has("zone") === true;
  for (const [name, upstream] of draft.upstreams ?? []) {
    const path = ["upstreams", name];
    checkBalancer(path, upstream, reading);
    checkPlaces(path, upstream, zone, reading);
    const source = upstream.discovery ?? effectiveSource(draft, reading);
    if (source === "static" || source === "dns") checkMeta(path, upstream, source, reading);
    checkOutliers(path, upstream, reading);
    checkHealthCheck(path, upstream, reading);
  }
  checkFailover(draft, reading);
}

function checkBalancer(path: Path, upstream: Upstream, reading: Reading): void {
  const { balancer, hash } = upstream;
  if (balancer === undefined) return;
  const hashes = hashing.has(balancer);
  if (!hashes)
    noEffect(
      reading,
      upstream,
      [...path, "hash"],
      `${balancer} keeps no calls together`,
      "balancer: ringHash or maglev beside it",
    );
  if (hash?.by === "metadata" && hash.name === undefined) missing(reading, [...path, "hash"], "name", "name: METADATA");
  if (hash?.by !== undefined && hash.by !== "metadata")
    noEffect(
      reading,
      upstream,
      [...path, "hash", "name"],
      `calls are kept together by ${hash.by}`,
      "by: metadata beside it",
    );
  if (balancer !== "leastRequest")
    noEffect(
      reading,
      upstream,
      [...path, "choices"],
      `${balancer} compares no calls under way`,
      "balancer: leastRequest beside it",
    );
  checkFirst(path, upstream, reading);
  if (hashes && upstream.aperture !== undefined && reading.has([...path, "aperture"]))
    reading.reportKey([...path, "aperture"], {
      code: "conflict",
      message: `with ${balancer} every sidecar has to know the same endpoints, and with an aperture each knows others`,
      expected: `another balancer than ${words()}, or no aperture`,
    });
  checkAffinity(path, upstream, reading);
  if (balancer !== "weightedRoundRobin")
    noEffect(
      reading,
      upstream,
      [...path, "loadReports"],
      `${balancer} does not look at them`,
      "balancer: weightedRoundRobin beside it",
    );
  if (hashes)
    for (const key of ["slowStart", "loadBias"])
      noEffect(
        reading,
        upstream,
        [...path, key],
        `${balancer} would move calls with every step`,
        `another balancer than ${words()}`,
      );
  const { hold, maxHold } = upstream.loadBias ?? {};
  if (hold !== undefined && maxHold !== undefined && hold > maxHold)
    reading.reportValue([...path, "loadBias", "hold"], {
      code: "conflict",
      message: `hold is longer than maxHold, which is ${maxHold} ms`,
      expected: "at most maxHold",
    });
}

function checkFirst(path: Path, upstream: Upstream, reading: Reading): void {
  if (upstream.balancer !== "pickFirst") {
    const why = `${upstream.balancer} takes endpoints in no order`;
    noEffect(reading, upstream, [...path, "order"], why, "balancer: pickFirst beside it");
    return;
  }
  for (const key of ["aperture", "slowStart", "loadBias"])
    noEffect(reading, upstream, [...path, key], "pickFirst calls one endpoint", "another balancer than pickFirst");
}

function checkAffinity(path: Path, { affinity }: Upstream, reading: Reading): void {
  if (affinity === undefined) return;
  const own = [...path, "affinity"];
  const { metadata, cookie, maxAge } = affinity;
  if (metadata !== undefined && cookie !== undefined)
    reading.reportKey([...own, "cookie"], {
      code: "conflict",
      message: `${formatPath(own)} goes by metadata or by a cookie, not by both`,
      expected: "metadata or cookie",
    });
  if (
    metadata === undefined &&
    cookie === undefined &&
    !reading.has([...own, "metadata"]) &&
    !reading.has([...own, "cookie"])
  )
    reading.reportKey(own, {
      code: "missing-key",
      message: `${formatPath(own)} does not say by which field`,
      expected: "metadata: NAME, or cookie: NAME",
    });
  if (maxAge !== undefined && cookie === undefined && !reading.has([...own, "cookie"]))
    reading.reportKey([...own, "maxAge"], {
      code: "no-effect",
      message: `${formatPath([...own, "maxAge"])} has no effect: metadata is kept by callers as they like`,
      expected: "cookie beside it",
    });
}

function words(): string {
  return [...hashing].join(" and ");
}

function checkPlaces(path: Path, upstream: Upstream, zone: boolean, reading: Reading): void {
  const { zones, priorities, subsets } = upstream;
  if (zones !== undefined && zones.own === undefined && !reading.has([...path, "zones", "own"]) && !zone) {
    reading.reportKey([...path, "zones"], {
      code: "missing-key",
      message: `${formatPath([...path, "zones"])} prefers the sidecar's own zone, which is not known`,
      expected: "own: ZONE, or service.meta.zone",
    });
  }
  if (zones === undefined && priorities?.length === 0)
    for (const key of ["spillBelow", "spillAbove"])
      noEffect(reading, upstream, [...path, key], "no endpoint goes before another", "zones or priorities beside it");
  if (subsets?.match?.size === 0 && subsets.byMetadata?.size === 0)
    noEffect(reading, upstream, [...path, "subsets"], "it asks for no meta", "match or byMetadata");
}

function checkMeta(path: Path, upstream: Upstream, source: string, reading: Reading): void {
  for (const key of ["zones", "priorities", "subsets"])
    noEffect(
      reading,
      upstream,
      [...path, key],
      `${source} discovery knows no meta of an endpoint`,
      "consul or directory discovery beside it",
    );
}

function checkOutliers(path: Path, upstream: Upstream, reading: Reading): void {
  const { outlierDetection } = upstream;
  if (outlierDetection === undefined) return;
  const own = [...path, "outlierDetection"];
  const { mode, baseEjection, maxEjection, failurePercentage, successRate } = outlierDetection;
  if (mode === "disabled") {
    for (const key of Object.keys(outlierDetection))
      if (key !== "mode") noEffect(reading, upstream, [...own, key], "mode is disabled", "mode: eject, or mode alone");
    return;
  }
  if (baseEjection !== undefined && maxEjection !== undefined && baseEjection > maxEjection) {
    const at = reading.has([...own, "maxEjection"]) ? "maxEjection" : "baseEjection";
    reading.reportValue([...own, at], {
      code: "conflict",
      message: `${formatPath([...own, "baseEjection"])} is longer than maxEjection`,
      expected: "a baseEjection up to maxEjection",
    });
  }
  if (failurePercentage === undefined && successRate === undefined)
    noEffect(
      reading,
      upstream,
      [...own, "interval"],
      "nothing is looked at",
      "failurePercentage or successRate beside it",
    );
}

function checkHealthCheck(path: Path, upstream: Upstream, reading: Reading): void {
  const { healthCheck } = upstream;
  if (healthCheck?.kind === undefined) return;
  const own = [...path, "healthCheck"];
  const { kind, interval, timeout } = healthCheck;
  const only = `a check by ${kind} does not look at it`;
  if (kind !== "grpc") noEffect(reading, upstream, [...own, "service"], only, "kind: grpc beside it");
  if (kind !== "http") noEffect(reading, upstream, [...own, "path"], only, "kind: http beside it");
  if (kind === "grpc") noEffect(reading, upstream, [...own, "port"], only, "kind: http or tcp beside it");
  if (interval !== undefined && timeout !== undefined && timeout > interval) {
    const at = reading.has([...own, "timeout"]) ? "timeout" : "interval";
    reading.reportValue([...own, at], {
      code: "conflict",
      message: `${formatPath([...own, "timeout"])} is longer than the interval between two checks`,
      expected: "a timeout up to interval",
    });
  }
}

/** Every name an upstream, and no way back to where a call came from. */
function checkFailover(draft: Draft<FileConfig>, reading: Reading): void {
  const upstreams = draft.upstreams ?? new Map<string, Upstream>();
  for (const [name, { failover }] of upstreams) {
    for (const [index, other] of (failover ?? []).entries()) {
      const path = ["upstreams", name, "failover", index];
      if (other === name) {
        reading.reportValue(path, {
          code: "conflict",
          message: `${name} cannot take the place of itself`,
          expected: "the name of another upstream",
        });
      } else if (!upstreams.has(other)) {
        reading.reportValue(path, {
          code: "conflict",
          message: `there is no upstream ${other}`,
          expected: `${other} under upstreams as well`,
          suggestion: closest(
            other,
            [...upstreams.keys()].filter((upstream) => upstream !== name),
          ),
        });
      }
    }
  }
}

/** A default is tolerated, for a printed configuration has all of them. */
function noEffect(reading: Reading, upstream: Upstream, path: Path, why: string, expected: string): void {
  const keys = path.slice(2);
  const value = keys.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined),
    upstream,
  );
  if (value === undefined || value === null || !reading.has(path)) return;
  if (isDefault(["upstreams", "*", ...keys].join("."), value)) return;
  reading.reportKey(path, { code: "no-effect", message: `${formatPath(path)} has no effect: ${why}`, expected });
}

function missing(reading: Reading, path: Path, key: string, expected: string): void {
  if (reading.has([...path, key])) return;
  reading.reportKey(path, {
    code: "missing-key",
    message: `missing key "${key}" in ${formatPath(path)}`,
    expected,
  });
}

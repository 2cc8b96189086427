import { formatAddress } from "../../core/address.ts";
import { badEndpoint } from "../../discovery/bad-endpoint.ts";
import type { Draft } from "../draft.ts";
import { formatPath } from "../issue.ts";
import type { Reading } from "../reading.ts";
import { defaultSuffixes } from "../resolve.ts";
import type { FileConfig } from "../schema.ts";
import { checkAdaptiveConcurrency } from "./adaptive-concurrency.ts";
import { checkAdmission } from "./admission-control.ts";
import { checkBandwidth } from "./bandwidth.ts";
import { checkBreaker, checkLimits } from "./breaker.ts";
import { effectiveSource, isConfigured } from "./discovery.ts";
import { checkDns } from "./dns.ts";
import { type Listener, listenersOf, reaches } from "./listeners.ts";
import { checkRetry } from "./retry.ts";

type Upstream = Draft<FileConfig["upstreams"]> extends ReadonlyMap<string, infer U> ? U : never;

/** Upstreams whose source cannot serve them, and names that two of them claim. */
export function checkUpstreams(
  draft: Draft<FileConfig>,
  env: Readonly<Record<string, string | undefined>>,
  reading: Reading,
): void {
  const listeners = listenersOf(draft, reading);
  for (const [name, upstream] of draft.upstreams ?? []) {
    checkSource(name, upstream, draft, reading);
    checkEndpoints(name, upstream, listeners, reading);
    const path = ["upstreams", name];
    checkBreaker([...path, "circuitBreaker"], name, upstream.circuitBreaker, draft.upstreams ?? new Map(), reading);
    checkAdmission([...path, "admissionControl"], upstream.admissionControl, reading);
    checkLimits([...path, "limits"], upstream.limits, reading);
    checkRetry([...path, "retry"], upstream.retry, upstream.timeout, reading);
    checkBandwidth([...path, "bandwidth"], upstream.bandwidth, reading);
    checkAdaptiveConcurrency([...path, "adaptiveConcurrency"], upstream.adaptiveConcurrency, reading);
  }
  const given = reading.has(["names", "suffixes"]);
  const suffixes = given ? (draft.names?.suffixes ?? []) : defaultSuffixes(env);
  checkHosts(draft, namesOf(draft, suffixes), reading);
}

function checkSource(name: string, upstream: Upstream, draft: Draft<FileConfig>, reading: Reading): void {
  const path = ["upstreams", name];
  const said = upstream.discovery;
  if (said !== undefined && !isConfigured(said, reading)) {
    reading.reportValue([...path, "discovery"], {
      code: "conflict",
      message: `${name} is to be found by ${said}, which is not configured`,
      expected: `${said} under discovery, or another source`,
    });
    return;
  }
  if (reading.has([...path, "discovery"]) && said === undefined) return;
  const source = said ?? effectiveSource(draft, reading);
  const given = reading.has([...path, "endpoints"]);
  if (source === "static" && upstream.startup === "optional") {
    reading.reportValue([...path, "startup"], {
      code: "no-effect",
      message: `startup has no effect: the endpoints of ${name} stand here, so nothing is waited for`,
      expected: "another source of them, or no startup",
    });
  }
  if (source !== undefined) {
    checkDns(name, upstream.dns, source, reading);
    checkConsul(name, upstream.consul, source, reading);
    checkRouting(name, upstream, source, reading);
  }
  if (source === "static" && !given) {
    reading.reportKey(path, {
      code: "missing-key",
      message: `missing key "endpoints" in upstreams.${name}: static discovery knows no others`,
      expected: said === "static" ? "endpoints: [HOST:PORT]" : "endpoints: [HOST:PORT], or a source under discovery",
    });
  }
  if (source === "static" && given && upstream.endpoints?.length === 0) {
    reading.reportValue([...path, "endpoints"], {
      code: "invalid-value",
      message: `upstreams.${name} has no endpoint`,
      expected: "at least one HOST:PORT",
    });
  }
  if (source !== undefined && source !== "static" && given && upstream.endpoints?.length !== 0) {
    reading.reportKey([...path, "endpoints"], {
      code: "no-effect",
      message: `endpoints of ${name} have no effect: ${source} discovery finds its own`,
      expected: "discovery: static beside them, or no endpoints",
    });
  }
}

/** Consul routes what it finds itself, and services only. */
function checkRouting(name: string, { routing, consul }: Upstream, source: string, reading: Reading): void {
  if (routing !== "consul") return;
  const why =
    source !== "consul"
      ? `${name} is found by ${source} discovery`
      : consul?.query === undefined
        ? undefined
        : `${name} is a prepared query, and only a service has config entries`;
  if (why === undefined) return;
  reading.reportValue(["upstreams", name, "routing"], {
    code: "conflict",
    message: `consul cannot route calls of ${name}: ${why}`,
    expected: source === "consul" ? "consul.service, or routing: declared" : "discovery: consul beside it",
  });
}

/** What an upstream is in Consul: a service or a prepared query, and only where Consul is asked. */
function checkConsul(name: string, consul: Upstream["consul"], source: string, reading: Reading): void {
  const path = ["upstreams", name, "consul"];
  if (source !== "consul") {
    if (!reading.has(path)) return;
    reading.reportKey(path, {
      code: "no-effect",
      message: `upstreams.${name}.consul has no effect: ${name} is found by ${source} discovery`,
      expected: "discovery: consul beside it, or no such key",
    });
  } else if (consul?.query !== undefined) {
    for (const key of ["service", "datacenter"]) {
      if (!reading.has([...path, key])) continue;
      reading.reportKey([...path, key], {
        code: "conflict",
        message: `upstreams.${name}.consul has a ${key} and a query: the prepared query says both`,
        expected: "service and datacenter, or query",
      });
    }
  }
}

/** What discovery would drop anyway (BAD_ENDPOINT) is a mistake where a person wrote it. */
function checkEndpoints(name: string, upstream: Upstream, listeners: readonly Listener[], reading: Reading): void {
  for (const [index, endpoint] of (upstream.endpoints ?? []).entries()) {
    const own = listeners.find(({ address }) => reaches(endpoint, address));
    const why = own === undefined ? badEndpoint(endpoint) : `is a listener of this sidecar, ${formatPath(own.path)}`;
    if (why === undefined) continue;
    reading.reportValue(["upstreams", name, "endpoints", index], {
      code: "conflict",
      message: `${formatAddress(endpoint)} ${why}, which is never taken as an endpoint`,
      expected: "the address of another process",
    });
  }
}

/** An exact host goes before the name of an upstream, so that the second one could never be reached by it. */
function checkHosts(draft: Draft<FileConfig>, names: ReadonlyMap<string, string>, reading: Reading): void {
  const taken = new Map<string, string>();
  for (const [name, upstream] of draft.upstreams ?? []) {
    for (const [index, host] of (upstream.hosts ?? []).entries()) {
      const path = ["upstreams", name, "hosts", index];
      const other = taken.get(host) ?? name;
      taken.set(host, other);
      if (other !== name) {
        const expected = "each host at one upstream only";
        reading.reportValue(path, { code: "conflict", message: `${host} is already a host of ${other}`, expected });
      }
      const shadowed = names.get(host);
      if (shadowed !== undefined && shadowed !== name) {
        const message = `${host} is a name of the upstream ${shadowed}, which could not be called by it any more`;
        reading.reportValue(path, { code: "conflict", message, expected: "a host that is no other upstream's name" });
      }
    }
  }
}

/** By which names callers reach which upstream. */
function namesOf(draft: Draft<FileConfig>, suffixes: readonly string[]): ReadonlyMap<string, string> {
  const endings = ["", ...suffixes.map((suffix) => `.${suffix}`)];
  const upstreams = [...(draft.upstreams?.keys() ?? [])];
  return new Map(upstreams.flatMap((name) => endings.map((ending) => [`${name}${ending}`, name] as const)));
}

import { formatAddress } from "../../core/address.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { effectiveSource, isConfigured } from "./discovery.ts";
import { listenersOf, reaches } from "./listeners.ts";

type Upstream = Draft<FileConfig["upstreams"]> extends ReadonlyMap<string, infer U> ? U : never;

/** Upstreams whose source cannot serve them, and names that two of them claim. */
export function checkUpstreams(draft: Draft<FileConfig>, reading: Reading): void {
  for (const [name, upstream] of draft.upstreams ?? []) {
    checkSource(name, upstream, draft, reading);
    checkEndpoints(name, upstream, draft, reading);
  }
  checkHosts(draft, namesOf(draft), reading);
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

function checkEndpoints(name: string, upstream: Upstream, draft: Draft<FileConfig>, reading: Reading): void {
  const outbound = listenersOf(draft, reading).filter(({ path }) => path.at(-1) !== "inbound");
  for (const [index, endpoint] of (upstream.endpoints ?? []).entries()) {
    const path = ["upstreams", name, "endpoints", index];
    if (endpoint.kind === "tcp" && isNeverEndpoint(endpoint.host)) {
      reading.reportValue(path, {
        code: "invalid-value",
        message: `${formatAddress(endpoint)} is link-local or multicast, which is never taken as an endpoint`,
        expected: "the address of a process",
      });
    }
    const own = outbound.find(({ address }) => reaches(endpoint, address));
    if (own === undefined) continue;
    reading.reportValue(path, {
      code: "conflict",
      message: `${formatAddress(endpoint)} is a listener of this sidecar, ${own.path.join(".")}`,
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
        const message = `${host} is the name of ${shadowed}, which could not be called by it any more`;
        reading.reportValue(path, { code: "conflict", message, expected: "a host that is no other upstream's name" });
      }
    }
  }
}

/** By which names callers reach which upstream. */
function namesOf(draft: Draft<FileConfig>): ReadonlyMap<string, string> {
  const suffixes = ["", ...(draft.names?.suffixes ?? []).map((suffix) => `.${suffix}`)];
  const upstreams = [...(draft.upstreams?.keys() ?? [])];
  return new Map(upstreams.flatMap((name) => suffixes.map((suffix) => [`${name}${suffix}`, name] as const)));
}

function isNeverEndpoint(host: string): boolean {
  return /^(169\.254|22[4-9]|23[0-9])\./.test(host) || /^(fe[89ab]|ff)[0-9a-f]{0,2}:/i.test(host);
}

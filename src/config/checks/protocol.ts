import type { Draft } from "../draft.ts";
import type { Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import type { Protocol } from "../types.ts";

type Upstream = Draft<FileConfig["upstreams"]> extends ReadonlyMap<string, infer U> ? U : never;

/** What is settled of a protocol that some other setting does not fit. */
export function checkProtocols(draft: Draft<FileConfig>, reading: Reading): void {
  checkService(draft, reading);
  for (const [name, upstream] of draft.upstreams ?? []) checkUpstream(name, upstream, draft, reading);
  for (const [index, route] of (draft.routes ?? []).entries()) {
    const { upstream } = route;
    const protocol = upstream === undefined ? undefined : protocolOf(draft, upstream);
    if (upstream === undefined || protocol === undefined) continue;
    if (protocol === "tcp")
      reading.reportValue(["routes", index, "upstream"], {
        code: "no-effect",
        message: `a route of ${upstream} has no effect: a TCP connection says nothing that it could go by`,
        expected: "an upstream that speaks HTTP",
      });
    if (protocol === "http1" && (route.mirror !== undefined || route.retry !== undefined))
      noEffect(["routes", index, route.mirror === undefined ? "retry" : "mirror"], `${upstream} speaks http1`, reading);
    const others = [route.to, ...(route.split ?? []).map(({ to }) => to), route.mirror?.to];
    for (const other of others) if (other !== undefined) sameKind(["routes", index], upstream, other, draft, reading);
  }
}

function checkService({ service }: Draft<FileConfig>, reading: Reading): void {
  if (service === undefined) return;
  const { protocol, health, healthPath } = service;
  if (protocol !== undefined && health === "grpc" && !speaksHttp2(protocol))
    reading.reportValue(["service", "health"], {
      code: "conflict",
      message: `service.health is grpc, and the application speaks ${protocol}`,
      expected: protocol === "http1" ? "http, tcp or none" : "tcp or none",
    });
  if (healthPath !== undefined && health !== "http") noEffect(["service", "healthPath"], "health is not http", reading);
  if (protocol === "tcp" && service.adaptiveConcurrency !== undefined)
    noEffect(["service", "adaptiveConcurrency"], LATENCY, reading);
  if (service.idleTimeout !== undefined && protocol !== undefined && speaksHttp2(protocol))
    noEffect(["service", "idleTimeout"], `it is for http1 and tcp, not for ${protocol}`, reading);
}

/** A connection lasts as long as its two ends want. */
const LATENCY = "with tcp a call is a connection, whose length says nothing of the load";

function checkUpstream(name: string, upstream: Upstream, draft: Draft<FileConfig>, reading: Reading): void {
  const path = ["upstreams", name];
  const { protocol, listen, healthCheck, failover, circuitBreaker } = upstream;
  for (const [index, other] of (failover ?? []).entries())
    sameKind([...path, "failover", index], name, other, draft, reading);
  const fallback = circuitBreaker?.fallback?.upstream;
  if (fallback !== undefined)
    sameKind([...path, "circuitBreaker", "fallback", "upstream"], name, fallback, draft, reading);
  if (protocol === undefined || speaksHttp2(protocol)) return;
  if (upstream.routing === "consul")
    reading.reportValue([...path, "routing"], {
      code: "not-yet-supported",
      message: `routing by Consul of an upstream that speaks ${protocol} is not yet supported`,
      expected: "declared",
    });
  if (upstream.retry !== undefined) noEffect([...path, "retry"], `${name} speaks ${protocol}`, reading);
  if (healthCheck?.kind !== undefined && healthCheck.kind !== "tcp" && healthCheck.port === undefined)
    reading.reportValue([...path, "healthCheck", "kind"], {
      code: "conflict",
      message: `health checks by ${healthCheck.kind} need connections in HTTP/2, and ${name} speaks ${protocol}`,
      expected: "tcp, or http with a port",
    });
  if (protocol !== "tcp") return;
  if (listen === undefined && draft.capture === undefined)
    reading.reportKey(path, {
      code: "missing-key",
      message: `nobody can call ${name}: a TCP connection does not say whom it is for`,
      expected: "listen: HOST:PORT, or a section capture",
    });
  if (upstream.timeout !== undefined) noEffect([...path, "timeout"], `${name} speaks tcp, see idleTimeout`, reading);
  if (upstream.adaptiveConcurrency !== undefined) noEffect([...path, "adaptiveConcurrency"], LATENCY, reading);
  if (upstream.affinity !== undefined)
    noEffect([...path, "affinity"], `${name} speaks tcp, which has no fields to come back by`, reading);
}

function noEffect(path: Path, why: string, reading: Reading): void {
  reading.reportKey(path, {
    code: "no-effect",
    message: `${path.at(-1)} has no effect: ${why}`,
    expected: "no such key, or another protocol",
  });
}

function sameKind(path: Path, name: string, other: string, draft: Draft<FileConfig>, reading: Reading): void {
  const [one, two] = [protocolOf(draft, name), protocolOf(draft, other)];
  if (one === undefined || two === undefined || one === two || (speaksHttp2(one) && speaksHttp2(two))) return;
  reading.reportValue(path, {
    code: "conflict",
    message: `${name} speaks ${one} and ${other} speaks ${two}: calls of the one cannot go to the other`,
    expected: "upstreams that speak the same",
  });
}

function protocolOf(draft: Draft<FileConfig>, name: string): Protocol | undefined {
  return draft.upstreams?.get(name)?.protocol;
}

function speaksHttp2(protocol: Protocol): boolean {
  return protocol === "grpc" || protocol === "http2";
}

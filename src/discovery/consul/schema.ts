import type { IncomingHttpHeaders } from "node:http";
import { type Address, formatAddress } from "../../core/address.ts";
import { field, listIn } from "../../core/json-field.ts";
import type { Tenures } from "../address-claims.ts";
import type { EndpointSpec } from "../source.ts";

/** What Consul answers about the instances of a service. */
export interface HealthAnswer {
  /** X-Consul-Index; at least 1, for 0 would make the next query answer at once for ever. */
  readonly index: bigint;
  /**
   * The answer is the agent's own view, kept up to date by a stream from a server (X-Consul-Query-Backend). Consul
   * answers blocking queries in this way since 1.10, and goes on to do so while its servers are gone; then it says
   * nothing of a leader or of permissions.
   */
  readonly streamed: boolean;
  /** X-Consul-KnownLeader: whether the server that answered has a leader; undefined where it does not say. */
  readonly knownLeader: boolean | undefined;
  /** The token may not see all of it (X-Consul-Results-Filtered-By-ACLs). */
  readonly filtered: boolean;
  /** As they are in the catalog: a port may be 0, an address unusable. */
  readonly endpoints: readonly EndpointSpec[];
  readonly tenures: Tenures;
}

/** Reads an answer of /v1/health/service, or says what is wrong with it. Unknown fields are nobody's business. */
export function readHealth(headers: IncomingHttpHeaders, text: string): HealthAnswer | string {
  const index = indexOf(headers);
  if (index === undefined) return "no X-Consul-Index";
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  // A list without elements is `null` to some encoders.
  if (body !== null && !Array.isArray(body)) return "it is no list";
  const endpoints: EndpointSpec[] = [];
  const tenures = new Map<string, bigint>();
  for (const [at, entry] of (body ?? []).entries()) {
    const health = healthOf(entry);
    if (health === "critical") continue;
    const endpoint = readEntry(entry, `[${at}]`, health);
    if (typeof endpoint === "string") return endpoint;
    endpoints.push(endpoint);
    // Only a sidecar says this of itself.
    if (endpoint.meta.outrigger !== undefined) tenures.set(endpoint.id, lastChange(entry));
  }
  const known = headers["x-consul-knownleader"];
  return {
    index,
    streamed: headers["x-consul-query-backend"] === "streaming",
    knownLeader: known === undefined ? undefined : known === "true",
    filtered: headers["x-consul-results-filtered-by-acls"] === "true",
    endpoints,
    tenures,
  };
}

/** X-Consul-Index, which is never 0 here; undefined where there is none. */
export function indexOf(headers: IncomingHttpHeaders): bigint | undefined {
  const index = headers["x-consul-index"];
  return typeof index === "string" && /^\d{1,20}$/.test(index) ? BigInt(index) || 1n : undefined;
}

/**
 * Reads what a prepared query found, or says what is wrong with it. It has no index that says whether the list is another one;
 * `index` stands in for it.
 */
export function readExecuted(headers: IncomingHttpHeaders, text: string, index: bigint): HealthAnswer | string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  const nodes = field(body, "Nodes") ?? [];
  if (field(body, "Service") === undefined || !Array.isArray(nodes)) return "it has no Service and no Nodes";
  return readHealth({ ...headers, "x-consul-index": `${index}` }, JSON.stringify(nodes));
}

/** The worst of its checks. Only whoever asks for all instances gets others than passing ones. */
function healthOf(entry: unknown): "passing" | "warning" | "critical" {
  const states = listIn(entry, "Checks").map((check) => field(check, "Status"));
  if (states.includes("critical")) return "critical";
  return states.includes("warning") ? "warning" : "passing";
}

function readEntry(entry: unknown, at: string, health: "passing" | "warning"): EndpointSpec | string {
  const node = field(entry, "Node");
  const service = field(entry, "Service");
  const nodeName = field(node, "Node");
  const id = field(service, "ID");
  // A service without a port has no field for it.
  const port = field(service, "Port") ?? 0;
  if (typeof nodeName !== "string" || nodeName === "") return `${at}.Node.Node is no name`;
  if (typeof id !== "string" || id === "") return `${at}.Service.ID is no name`;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 0 || port > 65_535) {
    return `${at}.Service.Port is no port`;
  }
  const host = field(service, "Address") || field(node, "Address");
  if (typeof host !== "string" || host === "")
    return `neither ${at}.Service.Address nor ${at}.Node.Address is an address`;
  const meta = readMeta(field(service, "Meta"));
  if (meta === undefined) return `${at}.Service.Meta is no map of strings`;
  const word = health === "warning" ? "Warning" : "Passing";
  const weight = field(field(service, "Weights"), word) ?? 1;
  if (typeof weight !== "number" || !Number.isFinite(weight)) return `${at}.Service.Weights.${word} is no number`;
  const address: Address = { kind: "tcp", host, port };
  return {
    // An id is unique on its node only. The address is part of it: what was at another address is another endpoint.
    id: `${nodeName}/${id}@${formatAddress(address)}`,
    address,
    weight: Math.max(1, Math.round(weight)),
    zone: meta.zone,
    meta,
  };
}

/** The index of the registration or of the last change of its checks, which is higher than all before it in the catalog. */
function lastChange(entry: unknown): bigint {
  const service = field(entry, "Service");
  const id = field(service, "ID");
  const checks = field(entry, "Checks");
  const own = Array.isArray(checks) ? checks.filter((check) => field(check, "ServiceID") === id) : [];
  let last = 0;
  for (const part of [service, ...own]) {
    const index = field(part, "ModifyIndex");
    if (typeof index === "number" && Number.isSafeInteger(index) && index > last) last = index;
  }
  return BigInt(last);
}

function readMeta(value: unknown): Record<string, string> | undefined {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) return undefined;
  const meta: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") return undefined;
    meta[key] = text;
  }
  return meta;
}

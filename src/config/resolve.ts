import { rateLimitBack, rateLimitOf } from "./rate-limit-options.ts";
import type { Reading } from "./reading.ts";
import type { FileConfig } from "./schema.ts";
import type { Config, SourceKind, UpstreamConfig } from "./types.ts";

/**
 * Fills in the defaults that depend on other values or on the environment. Expects what was read without an issue.
 */
export function resolve(file: FileConfig, env: Readonly<Record<string, string | undefined>>, reading: Reading): Config {
  const { service, discovery, identity, names } = file;
  const source = discovery.default ?? defaultSource(discovery);
  if (discovery.default === undefined && source !== "static")
    reading.derived(["discovery", "default"], `discovery.${source}`);
  if (identity.name === undefined && service !== undefined) reading.derived(["identity", "name"], "service.name");
  if (names.suffixes === undefined && defaultSuffixes(env).length > 1)
    reading.derived(["names", "suffixes"], "POD_NAMESPACE");
  return {
    service: service && serviceOf(service, reading),
    identity: { name: identity.name ?? service?.name ?? "unnamed" },
    listeners: file.listeners,
    connections: file.connections,
    admin: file.admin,
    names: { suffixes: names.suffixes ?? defaultSuffixes(env), onDemand: names.onDemand },
    discovery: {
      default: source,
      consul: discovery.consul,
      directory: discovery.directory,
      dns: discovery.dns,
      cache: discovery.cache,
    },
    mtls: file.mtls,
    upstreams: new Map(
      [...file.upstreams].map(([name, upstream]) => [name, withSource(name, upstream, source, reading)]),
    ),
    rateLimits: file.rateLimits.map((limit) => rateLimitOf(limit, identity.name ?? service?.name ?? "unnamed")),
    routes: file.routes,
    authorization: file.authorization && withDefault(file.authorization),
    jwt: file.jwt,
    faults: file.faults,
    deadlines: file.deadlines,
    capture: file.capture && captureOf(file.capture, file.mtls.mode, reading),
    egress: file.egress,
    protocols: file.protocols,
    log: file.log,
    metrics: file.metrics,
    tracing: file.tracing && { ...file.tracing, protocol: file.tracing.protocol ?? otlpProtocol(file.tracing.otlp) },
    explain: file.explain,
    drain: file.drain,
    keepalive: file.keepalive,
    overload: file.overload,
    workers: file.workers,
  };
}

/** Where intentions count, what Consul says is the default. */
function withDefault(rules: NonNullable<FileConfig["authorization"]>): NonNullable<Config["authorization"]> {
  return { ...rules, default: rules.default ?? (rules.intentions === undefined ? "deny" : undefined) };
}

function serviceOf(service: NonNullable<FileConfig["service"]>, reading: Reading): NonNullable<Config["service"]> {
  const { protocol } = service;
  if (service.health === undefined) reading.derived(["service", "health"], "service.protocol");
  const health = service.health ?? (protocol === "http1" || protocol === "tcp" ? "tcp" : "grpc");
  return { ...service, health, meta: Object.fromEntries(service.meta) };
}

/** What a collector speaks at a URL, by the ports and paths that OTLP has. */
function otlpProtocol(url: string): "grpc" | "http" {
  const { port, pathname } = new URL(url);
  return port === "4318" || pathname !== "/" ? "http" : "grpc";
}

function captureOf(
  capture: NonNullable<FileConfig["capture"]>,
  mode: FileConfig["mtls"]["mode"],
  reading: Reading,
): NonNullable<Config["capture"]> {
  if (capture.otherPorts === undefined) reading.derived(["capture", "otherPorts"], "mtls.mode");
  return { ...capture, otherPorts: capture.otherPorts ?? (mode === "strict" ? "refuse" : "pass") };
}

/** The only source that is configured. Static is always there and does not count; with several, none is the default. */
export function defaultSource(discovery: { readonly [kind in SourceKind]?: unknown }): SourceKind {
  return (["consul", "directory", "dns"] as const).find((kind) => discovery[kind] !== undefined) ?? "static";
}

/** Consul's, and those of the pod's own namespace where it is known. */
export function defaultSuffixes(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const namespace = env.POD_NAMESPACE?.toLowerCase() ?? "";
  const consul = "service.consul";
  return namespace === "" ? [consul] : [consul, `${namespace}.svc.cluster.local`, `${namespace}.svc`];
}

function withSource(
  name: string,
  upstream: FileConfig["upstreams"] extends ReadonlyMap<string, infer U> ? U : never,
  source: SourceKind,
  reading: Reading,
): UpstreamConfig {
  if (upstream.discovery !== undefined) return { ...upstream, discovery: upstream.discovery };
  reading.derived(["upstreams", name, "discovery"], "discovery.default");
  return { ...upstream, discovery: source };
}

/** The way back: a configuration as the schema has it, for writing. */
export function resolveBack(config: Config): FileConfig {
  const { service } = config;
  return {
    ...config,
    service: service === undefined ? undefined : { ...service, meta: new Map(Object.entries(service.meta)) },
    discovery: { ...config.discovery, static: undefined },
    rateLimits: config.rateLimits.map(rateLimitBack),
  };
}

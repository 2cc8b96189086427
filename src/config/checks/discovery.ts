import { isRegistry } from "../../discovery/source.ts";
import type { Draft } from "../draft.ts";
import type { Reading } from "../reading.ts";
import { defaultSource } from "../resolve.ts";
import type { FileConfig } from "../schema.ts";
import type { SourceKind } from "../types.ts";
import { isDefault } from "./is-default.ts";

type Consul = NonNullable<Draft<FileConfig["discovery"]["consul"]>>;

/** Which source is meant, and keys of a source that contradict each other. */
export function checkDiscovery(draft: Draft<FileConfig>, reading: Reading): void {
  const discovery = draft.discovery ?? {};
  const configured = configuredSources(reading);
  const { default: chosen } = discovery;
  if (chosen === undefined && configured.length > 1 && !reading.has(["discovery", "default"])) {
    reading.reportKey(["discovery"], {
      code: "missing-key",
      message: `missing key "default" in discovery: ${configured.join(" and ")} are configured, and neither is the default`,
      expected: `default: one of ${[...configured, "static"].join(", ")}`,
    });
  }
  if (chosen !== undefined && !isConfigured(chosen, reading)) {
    reading.reportValue(["discovery", "default"], {
      code: "conflict",
      message: `discovery.default is ${chosen}, which is not configured`,
      expected: `one of ${[...configured, "static"].join(", ")}, or ${chosen} beside it`,
    });
  }
  checkConsul(discovery.consul, reading);
  checkCache(configured, reading);
  checkOnDemand(draft, reading);
}

/** Static needs no configuration. */
export function isConfigured(source: SourceKind, reading: Reading): boolean {
  return source === "static" || reading.has(["discovery", source]);
}

/** The source of upstreams that name none; undefined where the file does not decide it. */
export function effectiveSource(draft: Draft<FileConfig>, reading: Reading): SourceKind | undefined {
  const { discovery } = draft;
  if (discovery?.default !== undefined) return discovery.default;
  if (reading.has(["discovery", "default"]) || configuredSources(reading).length > 1) return undefined;
  return defaultSource({
    consul: reading.has(["discovery", "consul"]) || undefined,
    directory: reading.has(["discovery", "directory"]) || undefined,
    dns: reading.has(["discovery", "dns"]) || undefined,
  });
}

/** What the file configures, though its content may be wrong. */
function configuredSources(reading: Reading): readonly SourceKind[] {
  return (["consul", "directory", "dns"] as const).filter((source) => reading.has(["discovery", source]));
}

function checkCache(configured: readonly SourceKind[], reading: Reading): void {
  const path = ["discovery", "cache"];
  if (!reading.has(path) || configured.length > 0) return;
  reading.reportKey(path, {
    code: "no-effect",
    message: "discovery.cache has no effect: static discovery always has its answers",
    expected: "a cache beside consul, directory or dns, or no such key",
  });
}

function checkConsul(consul: Consul | undefined, reading: Reading): void {
  if (consul === undefined) return;
  const path = ["discovery", "consul"];
  if (consul.token !== undefined && consul.tokenFile !== undefined) {
    reading.reportKey([...path, "tokenFile"], {
      code: "conflict",
      message: "discovery.consul has a token and a tokenFile",
      expected: "a token or a tokenFile, not both",
    });
  }
  const { tls, address } = consul;
  if (tls === undefined) return;
  if (address?.startsWith("http:") === true) {
    reading.reportKey([...path, "tls"], {
      code: "no-effect",
      message: `discovery.consul.tls has no effect: ${address} is not https`,
      expected: "an address that starts with https, or no tls",
      suggestion: reading.has([...path, "address"]) ? address.replace(/^http:/, "https:") : undefined,
    });
  }
  for (const [one, other] of [
    ["cert", "key"],
    ["key", "cert"],
  ] as const) {
    if (tls[one] === undefined || reading.has([...path, "tls", other])) continue;
    reading.reportKey([...path, "tls", one], {
      code: "missing-key",
      message: `missing key "${other}" in discovery.consul.tls: a ${one} is of no use without it`,
      expected: `both cert and key, or neither`,
    });
  }
}

function checkOnDemand(draft: Draft<FileConfig>, reading: Reading): void {
  const path = ["names", "onDemand"];
  const source = effectiveSource(draft, reading);
  if (!reading.has(path) || source === undefined || isRegistry(source)) return;
  const onDemand = draft.names?.onDemand ?? {};
  if (onDemand.allow?.length === 0) return;
  const spelledOut = Object.entries(onDemand).every(
    ([key, value]) => value !== undefined && reading.has([...path, key]) && isDefault(`names.onDemand.${key}`, value),
  );
  if (spelledOut) return;
  reading.reportKey(path, {
    code: "no-effect",
    message: `names.onDemand has no effect: ${source} discovery cannot look up names`,
    expected: "discovery with consul or directory, or no such key",
  });
}

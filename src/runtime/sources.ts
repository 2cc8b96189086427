import type { Config, SourceKind } from "../config/types.ts";
import type { DiscoveryServices } from "../discovery/services.ts";
import type { DiscoverySource, Registrar } from "../discovery/source.ts";
import { sources as definitions } from "../discovery/sources.ts";
import type { StaticOptions } from "../discovery/static.ts";

/** The discovery sources of a configuration, and where the service beside this sidecar is published. */
export interface Sources {
  readonly of: (kind: SourceKind) => DiscoverySource;
  /** undefined: the default source publishes nothing. */
  readonly registrar: Registrar | undefined;
  close(): Promise<void>;
}

export function makeSources(config: Config, services: DiscoveryServices): Sources {
  const made = new Map<SourceKind, DiscoverySource>();
  const { consul, directory } = config.discovery;
  made.set("static", definitions.static.create(staticOptions(config), services));
  if (consul !== undefined) made.set("consul", definitions.consul.create(consul, services));
  if (directory !== undefined) made.set("directory", definitions.directory.create(directory, services));
  return {
    of(kind) {
      const source = made.get(kind);
      if (source === undefined) throw new Error(`the discovery source ${kind} is not configured`);
      return source;
    },
    registrar: makeRegistrar(config, services),
    async close() {
      await Promise.all([...made.values()].map((source) => source.close()));
    },
  };
}

function makeRegistrar(config: Config, services: DiscoveryServices): Registrar | undefined {
  const { consul, directory } = config.discovery;
  if (config.discovery.default === "consul" && consul !== undefined)
    return definitions.consul.registrar?.(consul, services);
  if (config.discovery.default === "directory" && directory !== undefined)
    return definitions.directory.registrar?.(directory, services);
  return undefined;
}

function staticOptions(config: Config): StaticOptions {
  return new Map(
    [...config.upstreams]
      .filter(([, { discovery }]) => discovery === "static")
      .map(([name, { endpoints }]) => [name, endpoints]),
  );
}

import { isDeepStrictEqual } from "node:util";
import type { Config, SourceKind } from "../config/types.ts";
import { ReplaceableSource } from "../discovery/replaceable-source.ts";
import type { DiscoveryServices } from "../discovery/services.ts";
import type { DiscoverySource, Registrar } from "../discovery/source.ts";
import { sources as definitions } from "../discovery/sources.ts";
import { type StaticOptions, StaticSource } from "../discovery/static.ts";

/**
 * The discovery sources of the configuration in force. A source whose settings did not change is the same object over every
 * reload; one whose settings did is replaced behind its subscriptions.
 */
export class Sources {
  private readonly services: DiscoveryServices;
  private config: Config;
  private readonly fixed: StaticSource;
  private readonly made = new Map<SourceKind, ReplaceableSource>();

  constructor(config: Config, services: DiscoveryServices) {
    this.services = services;
    this.config = config;
    this.fixed = new StaticSource(staticOptions(config), services);
    this.makeMissing();
  }

  /** A source that the configuration has. */
  of(kind: SourceKind): DiscoverySource {
    if (kind === "static") return this.fixed;
    const source = this.made.get(kind);
    if (source === undefined) throw new Error(`the discovery source ${kind} is not configured`);
    return source;
  }

  /** A new registrar of the default source; undefined where that publishes nothing. */
  registrar(): Registrar | undefined {
    const { consul, directory, default: kind } = this.config.discovery;
    if (kind === "consul" && consul !== undefined) return definitions.consul.registrar?.(consul, this.services);
    if (kind === "directory" && directory !== undefined)
      return definitions.directory.registrar?.(directory, this.services);
    return undefined;
  }

  /** Goes over to another configuration. Sources that it has no more stay until `close`: nobody subscribes to them. */
  apply(config: Config): void {
    const old = this.config.discovery;
    this.config = config;
    this.fixed.replace(staticOptions(config));
    for (const kind of ["consul", "directory"] as const) {
      const source = this.made.get(kind);
      if (source === undefined || config.discovery[kind] === undefined) continue;
      if (isDeepStrictEqual(old[kind], config.discovery[kind])) continue;
      const made = this.make(kind);
      if (made !== undefined) void source.replace(made);
    }
    this.makeMissing();
  }

  async close(): Promise<void> {
    await Promise.all([this.fixed.close(), ...[...this.made.values()].map((source) => source.close())]);
  }

  private makeMissing(): void {
    for (const kind of ["consul", "directory"] as const) {
      const made = this.made.has(kind) ? undefined : this.make(kind);
      if (made !== undefined) this.made.set(kind, new ReplaceableSource(made));
    }
  }

  private make(kind: "consul" | "directory"): DiscoverySource | undefined {
    const { consul, directory } = this.config.discovery;
    if (kind === "consul") return consul && definitions.consul.create(consul, this.services);
    return directory && definitions.directory.create(directory, this.services);
  }
}

function staticOptions(config: Config): StaticOptions {
  const upstreams = [...config.upstreams].filter(([, { discovery }]) => discovery === "static");
  return new Map(upstreams.map(([name, { endpoints }]) => [name, endpoints]));
}

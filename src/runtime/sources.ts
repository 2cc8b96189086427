import { isDeepStrictEqual } from "node:util";
import type { Config, SourceKind, UpstreamConfig } from "../config/types.ts";
import { AnswerCache } from "../discovery/answer-cache.ts";
import type { DnsName, DnsOptions } from "../discovery/dns/options.ts";
import { ReplaceableSource } from "../discovery/replaceable-source.ts";
import type { DiscoveryServices } from "../discovery/services.ts";
import type { DiscoverySource, Registrar } from "../discovery/source.ts";
import { sources as definitions } from "../discovery/sources.ts";
import { type StaticOptions, StaticSource } from "../discovery/static.ts";
import { connectUse } from "./connect-use.ts";

/** Sources that are there only where they are configured. */
const kinds = ["consul", "directory", "dns"] as const;

/**
 * The discovery sources of the configuration in force. A source whose settings did not change is the same object over every
 * reload; one whose settings did is replaced behind its subscriptions.
 */
export class Sources {
  private readonly services: DiscoveryServices;
  private config: Config;
  private cache: AnswerCache | undefined;
  private readonly fixed: StaticSource;
  private readonly made = new Map<SourceKind, ReplaceableSource>();
  /** Another thread holds all sources but static, and publishes the service. */
  private readonly elsewhere: ((kind: SourceKind) => DiscoverySource) | undefined;

  constructor(config: Config, services: DiscoveryServices, elsewhere?: (kind: SourceKind) => DiscoverySource) {
    this.config = config;
    this.elsewhere = elsewhere;
    this.cache = elsewhere === undefined ? makeCache(config, services) : undefined;
    const cache = (): AnswerCache | undefined => this.cache;
    this.services = {
      ...services,
      get cache() {
        return cache();
      },
    };
    this.fixed = new StaticSource(staticOptions(config), services);
    this.makeMissing();
  }

  /** A source that the configuration has. */
  of(kind: SourceKind): DiscoverySource {
    if (kind === "static") return this.fixed;
    const source = this.elsewhere?.(kind) ?? this.made.get(kind);
    if (source === undefined) throw new Error(`the discovery source ${kind} is not configured`);
    return source;
  }

  /** A new registrar of the default source; undefined where that publishes nothing. */
  registrar(): Registrar | undefined {
    if (this.elsewhere !== undefined) return undefined;
    const { consul, directory, default: kind } = this.config.discovery;
    if (kind === "consul" && consul !== undefined)
      return definitions.consul.registrar?.({ ...consul, connect: connectUse(this.config) }, this.services);
    if (kind === "directory" && directory !== undefined)
      return definitions.directory.registrar?.(directory, this.services);
    return undefined;
  }

  /** Goes over to another configuration. Sources that it has no more stay until `close`: nobody subscribes to them. */
  apply(config: Config): void {
    const old = this.config;
    this.config = config;
    this.fixed.replace(staticOptions(config));
    if (this.elsewhere !== undefined) return;
    if (old.discovery.cache !== config.discovery.cache) {
      void this.cache?.close();
      this.cache = makeCache(config, this.services);
    }
    for (const kind of kinds) {
      const source = this.made.get(kind);
      if (source === undefined || config.discovery[kind] === undefined) continue;
      if (isDeepStrictEqual(settings(kind, old), settings(kind, config))) continue;
      const made = this.make(kind);
      if (made !== undefined) void source.replace(made);
    }
    this.makeMissing();
  }

  async close(): Promise<void> {
    await Promise.all([this.fixed.close(), ...[...this.made.values()].map((source) => source.close())]);
    await this.cache?.close();
  }

  private makeMissing(): void {
    if (this.elsewhere !== undefined) return;
    for (const kind of kinds) {
      const made = this.made.has(kind) ? undefined : this.make(kind);
      if (made !== undefined) this.made.set(kind, new ReplaceableSource(made));
    }
  }

  private make(kind: (typeof kinds)[number]): DiscoverySource | undefined {
    const { config, services } = this;
    const { consul, directory } = config.discovery;
    switch (kind) {
      case "consul":
        return consul && definitions.consul.create({ ...consul, connect: connectUse(config) }, services);
      case "directory":
        return directory && definitions.directory.create(directory, services);
      case "dns": {
        const options = dnsOptions(config);
        return options && definitions.dns.create(options, services);
      }
    }
  }
}

/** What a source of a kind is made from. */
function settings(kind: (typeof kinds)[number], config: Config): unknown {
  if (kind === "dns") return dnsOptions(config);
  return kind === "consul" ? [config.discovery.consul, connectUse(config)] : config.discovery[kind];
}

function dnsOptions(config: Config): DnsOptions | undefined {
  const { dns } = config.discovery;
  if (dns === undefined) return undefined;
  const names = [...config.upstreams].flatMap(([upstream, settings]): [string, DnsName][] => {
    const name = dnsName(settings);
    return name === undefined ? [] : [[upstream, name]];
  });
  return { ...dns, names: new Map(names) };
}

function dnsName({ dns, discovery }: UpstreamConfig): DnsName | undefined {
  if (discovery !== "dns" || dns === undefined) return undefined;
  if (dns.srv !== undefined) return { kind: "srv", name: dns.srv };
  return dns.name === undefined || dns.port === undefined
    ? undefined
    : { kind: "host", name: dns.name, port: dns.port };
}

function makeCache(config: Config, services: DiscoveryServices): AnswerCache | undefined {
  const { cache } = config.discovery;
  return cache === undefined ? undefined : new AnswerCache(cache, services);
}

function staticOptions(config: Config): StaticOptions {
  const upstreams = [...config.upstreams].filter(([, { discovery }]) => discovery === "static");
  return new Map(upstreams.map(([name, { endpoints }]) => [name, endpoints]));
}

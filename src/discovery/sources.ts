import type { ConsulOptions } from "./consul/client.ts";
import { ConsulSource } from "./consul/consul.ts";
import { ConsulRegistrar } from "./consul/registrar.ts";
import { type DirectoryOptions, DirectorySource } from "./directory/directory.ts";
import { DirectoryRegistrar } from "./directory/registrar.ts";
import { DnsSource } from "./dns/dns.ts";
import type { DnsOptions } from "./dns/options.ts";
import type { DiscoveryServices } from "./services.ts";
import type { DiscoverySource, Registrar } from "./source.ts";
import { type StaticOptions, StaticSource } from "./static.ts";

/** What each kind of source is made from. */
export interface SourceOptions {
  readonly consul: ConsulOptions;
  readonly directory: DirectoryOptions;
  readonly dns: DnsOptions;
  readonly static: StaticOptions;
}

/** The name of a discovery source in the configuration. */
export type SourceKind = keyof SourceOptions;

interface SourceDefinition<Options> {
  create(options: Options, services: DiscoveryServices): DiscoverySource;
  /** undefined: a source that nothing can be published in. */
  readonly registrar: ((options: Options, services: DiscoveryServices) => Registrar) | undefined;
}

/** Every kind of source there is. Another one is a file and a line here. */
export const sources: { readonly [Kind in SourceKind]: SourceDefinition<SourceOptions[Kind]> } = {
  consul: {
    create: (options, services) => new ConsulSource(options, services),
    registrar: (options, services) => new ConsulRegistrar(options, services),
  },
  directory: {
    create: (options, services) => new DirectorySource(options, services),
    registrar: (options, services) => new DirectoryRegistrar(options, services),
  },
  dns: {
    create: (options, services) => new DnsSource(options, services),
    registrar: undefined,
  },
  static: {
    create: (options, services) => new StaticSource(options, services),
    registrar: undefined,
  },
};

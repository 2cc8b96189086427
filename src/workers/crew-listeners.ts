import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { Listener } from "../net/listener.ts";
import { type Bound, Listeners } from "../runtime/listeners.ts";
import type { Mtls } from "../runtime/mtls.ts";
import type { ProcessServices } from "../runtime/services.ts";
import type { Crew } from "./crew.ts";

/**
 * The listeners of a process whose workers carry the calls: they all bind the same addresses, and the system gives each of them
 * a part of the connections. Here every address is claimed first, so that one that is in use is told of at once, and a free
 * port is the same for all.
 */
export class CrewListeners extends Listeners {
  override readonly here = false;
  private readonly crew: Crew;
  private claimed: readonly Bound[] = [];

  constructor(identity: () => string, mtls: Mtls, services: ProcessServices, crew: Crew) {
    super(identity, mtls, services);
    this.crew = crew;
  }

  override async bind(config: Config): Promise<void> {
    this.claimed = await this.claim(config, undefined);
    // Their ports are known beforehand: all that can be found out is whether they are free.
    for (const address of config.capture === undefined ? [] : [config.capture.inbound, config.capture.outbound])
      await tryToBind(address);
    await this.crew.start(withAddresses(config, this.claimed));
  }

  override async prepare(before: Config, config: Config): Promise<() => void> {
    const claimed = await this.claim(config, before);
    await this.crew.apply(withAddresses(config, claimed));
    return () => {
      this.claimed = claimed;
      this.crew.applied();
    };
  }

  override bound(): readonly Bound[] {
    return this.claimed;
  }

  override drainOthers(withdrawn: Promise<void>, inboundEnded: () => void): Promise<number> {
    return this.crew.drain(withdrawn, inboundEnded);
  }

  override async close(): Promise<void> {
    await this.crew.stop();
  }

  /** The addresses of a configuration; those that are new are tried. Rejects with a BindError. */
  private async claim(config: Config, before: Config | undefined): Promise<readonly Bound[]> {
    const known = new Map(before === undefined ? [] : wanted(before).map(({ name, address }) => [name, address]));
    const claimed: Bound[] = [];
    for (const { name, address } of wanted(config)) {
      const bound = isDeepStrictEqual(known.get(name), address) ? this.addressOf(name) : undefined;
      claimed.push({ name, address: bound ?? (await tryToBind(address)) });
    }
    return claimed;
  }
}

function wanted(config: Config): readonly Bound[] {
  const { listeners, service, upstreams } = config;
  const inbound = service === undefined ? [] : [{ name: "inbound", address: listeners.inbound }];
  const own = [...upstreams].flatMap(([name, { listen }]) =>
    listen === undefined ? [] : [{ name: `upstreams.${name}`, address: listen }],
  );
  return [...inbound, { name: "outbound", address: listeners.outbound }, ...own];
}

/** Binds an address for a moment; returns it with its port. */
async function tryToBind(address: Address): Promise<Address> {
  const nobody = { onConnection: () => {}, onRefused: () => {}, onError: () => {} };
  const listener = await Listener.bind(address, {}, nobody);
  await listener.close();
  return listener.address;
}

function withAddresses(config: Config, bound: readonly Bound[]): Config {
  const at = new Map(bound.map(({ name, address }) => [name, address]));
  const { inbound, outbound } = config.listeners;
  const listeners = {
    ...config.listeners,
    inbound: at.get("inbound") ?? inbound,
    outbound: at.get("outbound") ?? outbound,
  };
  const upstreams = new Map(
    [...config.upstreams].map(([name, upstream]) => [name, { ...upstream, listen: at.get(`upstreams.${name}`) }]),
  );
  return { ...config, listeners, upstreams };
}

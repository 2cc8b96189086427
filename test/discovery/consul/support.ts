import type { ConsulOptions } from "../../../src/discovery/consul/client.ts";
import { ConsulSource } from "../../../src/discovery/consul/consul.ts";
import type { ConsulTimings } from "../../../src/discovery/consul/timings.ts";
import type { DiscoverySource, Subscription } from "../../../src/discovery/source.ts";
import { type LogLine, type TestServices, testServices } from "../services.ts";
import { FakeConsul } from "./fake-consul.ts";

/** As in production, in a fraction of the time. */
export const FAST: ConsulTimings = {
  poll: 100,
  wait: 150,
  crowdedWait: 100,
  rotation: 1000,
  margin: 300,
  backoffBase: 10,
  backoffCap: 100,
  wakeInterval: 20,
  wakeBurst: 4,
  doubtEmpty: 300,
  patience: 200,
};

export function consulOptions(address: string, more: Partial<ConsulOptions> = {}): ConsulOptions {
  return {
    address,
    token: undefined,
    tokenFile: undefined,
    datacenter: undefined,
    namespace: undefined,
    partition: undefined,
    tls: undefined,
    ...more,
  };
}

export interface FakeSetup {
  readonly fake: FakeConsul;
  readonly source: DiscoverySource;
  /** A subscription to "orders". */
  readonly orders: Subscription;
  readonly lines: LogLine[];
}

/** Runs a test with a source over an agent that has two instances of "orders", and ends both. */
export async function withFake(
  body: (setup: FakeSetup) => Promise<void>,
  options: {
    readonly timings?: Partial<ConsulTimings>;
    readonly consul?: Partial<ConsulOptions>;
    readonly services?: TestServices;
    readonly prepare?: (fake: FakeConsul) => void;
  } = {},
): Promise<void> {
  const fake = await new FakeConsul().start();
  fake.set("orders", TWO);
  options.prepare?.(fake);
  const services = options.services ?? testServices();
  const source = new ConsulSource(consulOptions(fake.address, options.consul), services, {
    ...FAST,
    ...options.timings,
  });
  try {
    await body({ fake, source, orders: source.subscribe("orders"), lines: services.lines });
  } finally {
    await source.close();
    await fake.stop();
  }
}

export const TWO = [
  { host: "127.0.0.1", port: 7001 },
  { host: "127.0.0.1", port: 7002 },
];
export const TWO_HOSTS = ["127.0.0.1:7001", "127.0.0.1:7002"];

import { DnsSource } from "../../../src/discovery/dns/dns.ts";
import type { DnsAnswer, DnsLookup, SrvRecord } from "../../../src/discovery/dns/lookup.ts";
import type { DnsName, DnsOptions } from "../../../src/discovery/dns/options.ts";
import { FakeClock } from "../../support/clock.ts";
import { type TestServices, testServices } from "../services.ts";

export const HOST: DnsName = { kind: "host", name: "orders.test", port: 50_051 };
export const SRV: DnsName = { kind: "srv", name: "_grpc._tcp.orders.test" };

export function dnsOptions(more: Partial<DnsOptions> = {}): DnsOptions {
  return {
    refresh: 5000,
    family: "auto",
    servers: [],
    maxStale: undefined,
    names: new Map([["orders", HOST]]),
    ...more,
  };
}

/** Answers by a script, in no time: what is asked for is noted with the clock's time. */
export class ScriptedResolver {
  readonly asked: string[] = [];
  /** By "A orders.test", "SRV _grpc._tcp.orders.test"; what is not here does not exist. */
  readonly answers = new Map<string, DnsAnswer<string> | DnsAnswer<SrvRecord>>();
  /** Answers nothing until it is cancelled. */
  silent = false;
  private readonly clock: FakeClock;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  /** Addresses of a host; IPv6 by their colons. `ttl` in seconds. */
  host(name: string, addresses: readonly string[], ttl?: number): void {
    for (const [type, isOfType] of [
      ["A", (address: string) => !address.includes(":")],
      ["AAAA", (address: string) => address.includes(":")],
    ] as const) {
      const records = addresses.filter(isOfType);
      const key = `${type} ${name}`;
      if (records.length === 0) this.answers.delete(key);
      else this.answers.set(key, { kind: "records", records, ttl: ttl === undefined ? undefined : ttl * 1000 });
    }
  }

  srv(name: string, ...records: SrvRecord[]): void {
    this.answers.set(`SRV ${name}`, { kind: "records", records, ttl: undefined });
  }

  fail(key: string, why = `cannot look up ${key}: the name server fails (SERVFAIL)`): void {
    this.answers.set(key, { kind: "failed", why });
  }

  /** When a question was asked, in the clock's seconds. */
  times(key: string): number[] {
    return this.asked.filter((line) => line.endsWith(` ${key}`)).map((line) => Number(line.split(" ")[0]));
  }

  readonly open = (): DnsLookup => {
    let cancel: () => void = () => {};
    const cancelled = new Promise<void>((resolve) => {
      cancel = resolve;
    });
    const ask = async (key: string) => {
      this.asked.push(`${this.clock.now() / 1000} ${key}`);
      if (this.silent) {
        await cancelled;
        return { kind: "failed", why: `cannot look up ${key}: the name servers took too long` } as const;
      }
      return (
        this.answers.get(key) ?? ({ kind: "none", why: `cannot look up ${key}: the name does not exist` } as const)
      );
    };
    return {
      addresses: (name, family) => ask(`${family === 4 ? "A" : "AAAA"} ${name}`) as Promise<DnsAnswer<string>>,
      services: (name) => ask(`SRV ${name}`) as Promise<DnsAnswer<SrvRecord>>,
      cancel,
    };
  };
}

export interface ScriptedSetup {
  readonly clock: FakeClock;
  readonly resolver: ScriptedResolver;
  readonly source: DnsSource;
  readonly services: TestServices;
}

/** Runs a test with a source over a scripted resolver and a clock that is moved by hand. No chance is involved. */
export async function withScript(
  body: (setup: ScriptedSetup) => Promise<void>,
  options: Partial<DnsOptions> = {},
): Promise<void> {
  const clock = new FakeClock();
  const resolver = new ScriptedResolver(clock);
  const services = { ...testServices(clock), random: () => 0 };
  const source = new DnsSource(dnsOptions(options), services, resolver.open);
  try {
    await body({ clock, resolver, source, services });
  } finally {
    await source.close();
  }
}

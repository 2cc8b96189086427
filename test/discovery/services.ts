import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import type { Address } from "../../src/core/address.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { Watch } from "../../src/core/watch.ts";
import type { DiscoveryServices } from "../../src/discovery/services.ts";
import type { Discovered, EndpointSpec } from "../../src/discovery/source.ts";

/** A log line; `level` is pino's number (30 info, 40 warn). */
export type LogLine = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

export interface TestServices extends DiscoveryServices {
  /** What was logged so far. */
  readonly lines: LogLine[];
}

export function testServices(clock: Clock = systemClock, own: readonly Address[] = []): TestServices {
  const lines: LogLine[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { clock, log, random: Math.random, own: () => own, lines };
}

/** The value as soon as `isWanted` says so; an error that shows the last value after `ms`. */
export async function until<T>(value: () => T, isWanted: (value: T) => boolean, ms = 5000): Promise<T> {
  const deadline = performance.now() + ms;
  for (;;) {
    const current = value();
    if (isWanted(current)) return current;
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms, it is still ${JSON.stringify(current)}`);
    await sleep(2);
  }
}

/** HOST:PORT of each endpoint that is known, sorted; undefined while nothing is known. */
export function hosts(discovered: Discovered): string[] | undefined {
  if (discovered.kind === "pending") return undefined;
  return discovered.endpoints.map(hostOf).sort();
}

export function hostOf({ address }: EndpointSpec): string {
  return address.kind === "tcp" ? `${address.host}:${address.port}` : address.path;
}

/** Waits until exactly these are known. */
export async function untilHosts(
  state: Watch<Discovered>,
  wanted: readonly string[],
  ms?: number,
): Promise<Discovered> {
  return until(
    () => state.current,
    (current) => JSON.stringify(hosts(current)) === JSON.stringify([...wanted].sort()),
    ms,
  );
}

/** Waits until the state is known and stale, and gives why. */
export async function untilStale(state: Watch<Discovered>, ms?: number): Promise<string> {
  const current = await until(
    () => state.current,
    (value) => value.kind === "known" && value.staleSince !== undefined,
    ms,
  );
  return current.error ?? "";
}

export async function untilFresh(state: Watch<Discovered>, ms?: number): Promise<void> {
  await until(
    () => state.current,
    (value) => value.kind === "known" && value.staleSince === undefined,
    ms,
  );
}

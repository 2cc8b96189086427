import { loadConfig } from "../../../src/config/load.ts";
import type { Check, Finding, Surroundings } from "../../../src/control/doctor/finding.ts";
import { type Clock, systemClock } from "../../../src/core/clock.ts";

/** What a check finds around a sidecar of that configuration, by verdict and evidence. */
export async function found(
  check: Check,
  config: Readonly<Record<string, unknown>>,
  more: Partial<Surroundings> = {},
): Promise<readonly Finding[]> {
  const loaded = loadConfig(JSON.stringify(config), { file: "doctor", env: {} });
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.issues));
  return check({ config: loaded.config, clock: systemClock, running: undefined, patience: 300, ...more });
}

/** The findings that are not in order; each has a remedy. */
export function wrong(findings: readonly Finding[]): string[] {
  for (const { verdict, remedy, evidence } of findings)
    if ((verdict === "ok") !== (remedy === undefined))
      throw new Error(`a remedy is missing or not needed: ${evidence}`);
  return findings.filter(({ verdict }) => verdict !== "ok").map(({ verdict, evidence }) => `${verdict}: ${evidence}`);
}

/** The system's clock, off by some milliseconds. */
export function clockOff(by: number): Clock {
  return { ...systemClock, now: () => systemClock.now(), wall: () => systemClock.wall() + by };
}

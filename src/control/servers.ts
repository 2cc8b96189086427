import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** What people may ask of the process by admin. */
export interface ShutdownRequests {
  drain(): void;
  quit(): void;
}

/** The listeners for people and for probes. */
export interface ControlServers {
  readonly admin: Address;
  readonly probe: Address;
  addresses(): Address[];
  close(): Promise<void>;
}

export async function startControl(_runtime: Runtime, _shutdown: ShutdownRequests, config: Config): Promise<ControlServers> {
  return { admin: config.listeners.admin, probe: config.listeners.probe, addresses: () => [], close: async () => {} };
}

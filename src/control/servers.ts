import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { version } from "../core/version.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { startAdmin } from "./admin.ts";
import { startProbe } from "./probe.ts";
import { RuntimeView, type ShutdownRequests } from "./runtime-view.ts";
import type { ControlView } from "./view.ts";

/** The listeners for people and for probes. */
export interface ControlServers {
  readonly admin: Address;
  readonly probe: Address;
  addresses(): Address[];
  close(): Promise<void>;
}

/** Binds both. Rejects with a BindError and leaves nothing bound. */
export async function startControl(
  runtime: Runtime,
  shutdown: ShutdownRequests,
  config: Config,
  view: ControlView = new RuntimeView(runtime, shutdown, version),
): Promise<ControlServers> {
  const { clock, log, http2 } = runtime.services;
  const admin = await startAdmin(config.listeners.admin, {
    view,
    hosts: () => runtime.config.admin.hosts,
    access: () => runtime.config.admin,
    clock,
    log: log.logger,
  });
  try {
    const probe = await startProbe(config.listeners.probe, { view, clock, loop: http2.loop, log: log.logger });
    return {
      admin: admin.address,
      probe: probe.address,
      addresses: () => [admin.address, probe.address],
      close: async () => {
        await Promise.all([admin.close(), probe.close()]);
      },
    };
  } catch (error) {
    await admin.close();
    throw error;
  }
}

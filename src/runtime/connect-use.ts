import type { Config } from "../config/types.ts";
import type { ConnectUse } from "../discovery/consul/client.ts";

/**
 * What of a configuration is a part of Consul Connect. Instances that are dialled by TLS only have to be in it; in permissive
 * mode others are looked for as well, and those that are in it say so by their mark.
 */
export function connectUse(config: Config): ConnectUse | undefined {
  const { mode, source } = config.mtls;
  if (source?.consul === undefined) return undefined;
  const names = new Map<string, boolean>();
  for (const [name, { mtls, consul }] of config.upstreams) {
    if (mtls === undefined) continue;
    const service = consul?.service ?? name;
    names.set(service, mtls === "strict" && names.get(service) !== false);
  }
  return { native: mode !== "disabled", names, others: mode === "strict" };
}

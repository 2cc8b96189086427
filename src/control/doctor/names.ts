import { lookup, resolveSrv } from "node:dns/promises";
import { isIP } from "node:net";
import type { Config } from "../../config/types.ts";
import { type Check, error, type Finding, messageOf, ok } from "./finding.ts";

const NAME = "name";

/** Whether every host name of the configuration resolves. */
export const checkNames: Check = async ({ config }) => {
  const names = namesOf(config);
  return await Promise.all([...names].map(([name, where]) => resolve(name, where)));
};

async function resolve(name: string, where: string): Promise<Finding> {
  try {
    if (name.startsWith("_")) {
      const records = await resolveSrv(name);
      return ok(NAME, `${name} (${where}) has ${records.length} SRV records`);
    }
    const addresses = await lookup(name, { all: true });
    return ok(NAME, `${name} (${where}) is ${addresses.map(({ address }) => address).join(", ")}`);
  } catch (reason) {
    return error(
      NAME,
      `${name} (${where}) does not resolve: ${messageOf(reason)}`,
      "Correct the name, or /etc/resolv.conf of this machine or pod. Search domains are not used for upstreams of dns.",
    );
  }
}

/** Host names, each with the first key that has it. */
function namesOf(config: Config): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const add = (host: string | undefined, where: string): void => {
    const bare = host?.replace(/^\[|\]$/g, "") ?? "";
    if (bare !== "" && isIP(bare) === 0 && !found.has(bare)) found.set(bare, where);
  };
  const ofUrl = (url: string | undefined, where: string): void => {
    if (url !== undefined) add(new URL(url).hostname, where);
  };
  if (config.service?.address.kind === "tcp") add(config.service.address.host, "service.address");
  ofUrl(config.discovery.consul?.address, "discovery.consul.address");
  ofUrl(config.tracing?.otlp, "tracing.otlp");
  ofUrl(config.metrics.application, "metrics.application");
  for (const [name, upstream] of config.upstreams) {
    for (const address of upstream.endpoints)
      if (address.kind === "tcp") add(address.host, `upstreams.${name}.endpoints`);
    add(upstream.dns?.name ?? upstream.dns?.srv, `upstreams.${name}.dns`);
  }
  return found;
}

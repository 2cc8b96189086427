import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Config, UpstreamConfig } from "../../config/types.ts";
import { type DnsAnswer, type DnsLookup, nodeLookup } from "../../discovery/dns/lookup.ts";
import { type Check, error, type Finding, messageOf, ok } from "./finding.ts";

const NAME = "name";

/** Whether every host name of the configuration resolves, as it will be resolved. */
export const checkNames: Check = async ({ config }) => {
  const servers = config.discovery.dns?.servers ?? [];
  const asked = nodeLookup(servers)();
  const remedy =
    servers.length === 0
      ? "Correct the name, or /etc/resolv.conf of this machine or pod. Neither /etc/hosts nor search domains are used for upstreams of dns."
      : "Correct the name, or discovery.dns.servers: these are asked, and not those of the system.";
  return await Promise.all([
    ...[...namesOf(config)].map(([name, where]) => ofSystem(name, where)),
    ...[...config.upstreams].flatMap(([upstream, { dns }]) =>
      dns === undefined ? [] : [ofServers(asked, dns, `upstreams.${upstream}.dns`, remedy)],
    ),
  ]);
};

/** By the system: /etc/hosts, and its name servers with their search domains. */
async function ofSystem(name: string, where: string): Promise<Finding> {
  try {
    const addresses = await lookup(name, { all: true });
    return ok(NAME, `${name} (${where}) is ${addresses.map(({ address }) => address).join(", ")}`);
  } catch (reason) {
    const remedy = "Correct the name, or /etc/resolv.conf of this machine or pod.";
    return error(NAME, `${name} (${where}) does not resolve: ${messageOf(reason)}`, remedy);
  }
}

/** By name servers, as the source of upstreams of dns asks them. */
async function ofServers(
  asked: DnsLookup,
  { name, srv }: NonNullable<UpstreamConfig["dns"]>,
  where: string,
  remedy: string,
): Promise<Finding> {
  const host = srv ?? name ?? "";
  const answers: readonly DnsAnswer<unknown>[] =
    srv === undefined
      ? await Promise.all([asked.addresses(host, 4), asked.addresses(host, 6)])
      : [await asked.services(host)];
  const records = answers.flatMap((answer) => (answer.kind === "records" ? answer.records : []));
  if (records.length > 0)
    return ok(NAME, `${host} (${where}) has ${records.length} ${srv === undefined ? "addresses" : "SRV records"}`);
  const why = answers.flatMap((answer) => (answer.kind === "records" ? [] : [answer.why]));
  return error(NAME, `${host} (${where}) does not resolve: ${[...new Set(why)].join("; ")}`, remedy);
}

/** Host names that the system resolves, each with the first key that has it. */
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
  for (const [name, upstream] of config.upstreams)
    for (const address of upstream.endpoints)
      if (address.kind === "tcp") add(address.host, `upstreams.${name}.endpoints`);
  return found;
}

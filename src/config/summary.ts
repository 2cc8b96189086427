import { formatAddress } from "../core/address.ts";
import { formatDuration } from "./schema/units.ts";
import type { Config, UpstreamConfig } from "./types.ts";

/** What was understood of a file, in the words that its author thinks in. */
export interface Summary {
  readonly ok: true;
  /** null: a caller-only sidecar. */
  readonly service: { readonly name: string; readonly address: string; readonly advertise: string | null } | null;
  readonly identity: string;
  /** Without inbound where there is no service. */
  readonly listeners: Readonly<Record<string, string>>;
  readonly discovery: string;
  readonly upstreams: readonly UpstreamSummary[];
}

interface UpstreamSummary {
  readonly name: string;
  readonly discovery: string;
  readonly balancer: string;
  readonly timeout: string | null;
  readonly endpoints: readonly string[];
  /** HOST:PORT, or the name of SRV records; null where it is not found by DNS. */
  readonly dns: string | null;
  readonly hosts: readonly string[];
  readonly listen: string | null;
}

/** What `outrigger check` prints of a configuration that is right. */
export function summarize(config: Config): Summary {
  const { service, discovery } = config;
  const { inbound, ...others } = config.listeners;
  const listeners = service === undefined ? others : { inbound, ...others };
  const advertise = service?.advertise;
  return {
    ok: true,
    service:
      service === undefined
        ? null
        : {
            name: service.name,
            address: formatAddress(service.address),
            advertise: advertise === undefined ? null : formatAddress({ kind: "tcp", ...advertise }),
          },
    identity: config.identity.name,
    listeners: Object.fromEntries(Object.entries(listeners).map(([name, address]) => [name, formatAddress(address)])),
    discovery: discovery.default,
    upstreams: [...config.upstreams].map(([name, upstream]) => summarizeUpstream(name, upstream)),
  };
}

function summarizeUpstream(name: string, upstream: UpstreamConfig): UpstreamSummary {
  return {
    name,
    discovery: upstream.discovery,
    balancer: upstream.balancer,
    timeout: upstream.timeout === undefined ? null : formatDuration(upstream.timeout),
    endpoints: upstream.endpoints.map(formatAddress),
    dns: summarizeDns(upstream),
    hosts: upstream.hosts,
    listen: upstream.listen === undefined ? null : formatAddress(upstream.listen),
  };
}

function summarizeDns({ dns, discovery }: UpstreamConfig): string | null {
  if (dns === undefined || discovery !== "dns") return null;
  return dns.srv ?? `${dns.name}:${dns.port}`;
}

/** The same for people, a line for each thing. */
export function summaryLines(summary: Summary): readonly string[] {
  const { service, listeners, upstreams } = summary;
  const lines: [string, string][] = [
    ["service", service === null ? `none, calls go out as ${summary.identity}` : serviceLine(service)],
    [
      "listeners",
      Object.entries(listeners)
        .map(([name, address]) => `${name} ${address}`)
        .join(", "),
    ],
    ["discovery", summary.discovery],
    ...upstreams.map((upstream): [string, string] => ["upstream", upstreamLine(upstream)]),
  ];
  return lines.map(([what, text]) => `  ${what.padEnd(10)} ${text}`);
}

function serviceLine({ name, address, advertise }: NonNullable<Summary["service"]>): string {
  return `${name} at ${address}${advertise === null ? "" : `, advertised as ${advertise}`}`;
}

function upstreamLine({ name, discovery, balancer, timeout, endpoints, dns, hosts, listen }: UpstreamSummary): string {
  const parts = [[discovery, ...(dns === null ? endpoints : [dns])].join(" "), balancer];
  if (timeout !== null) parts.push(`timeout ${timeout}`);
  if (hosts.length > 0) parts.push(`also ${hosts.join(", ")}`);
  if (listen !== null) parts.push(`listens on ${listen}`);
  return `${name}: ${parts.join(", ")}`;
}

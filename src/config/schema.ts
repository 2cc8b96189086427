import { balancers } from "../cluster/balancers/index.ts";
import { type KeyRule, list, record } from "./schema/collections.ts";
import { integer } from "./schema/integer.ts";
import {
  advertisedAddress,
  authority,
  dialAddress,
  dnsName,
  domain,
  glob,
  httpUrl,
  listenAddress,
  nameServer,
  parseServiceName,
  serviceName,
} from "./schema/names.ts";
import { object } from "./schema/object.ts";
import { parsed, quote, refused } from "./schema/parsed.ts";
import { secret, string } from "./schema/text.ts";
import { optional, preset, required, section, type Type } from "./schema/type.ts";
import { duration, rate } from "./schema/units.ts";
import { words, wordsOf } from "./schema/words.ts";

const none: readonly never[] = [];
const sources = words(["consul", "directory", "dns", "static"]);

const metaKey: KeyRule = {
  placeholder: "KEY",
  label: 'letters, digits, "-" and "_", at most 128',
  pattern: "^[A-Za-z0-9_-]{1,128}$",
  parse(key) {
    if (key === "outrigger" || key === "mtls") return refused(`the key "${key}" is set by the sidecar itself`);
    return /^[A-Za-z0-9_-]{1,128}$/.test(key) ? parsed(key) : refused(`${quote(key)} cannot be a key of meta`);
  },
};

const upstreamName: KeyRule = {
  placeholder: "NAME",
  label: serviceName().label,
  pattern: "^[a-z0-9_.-]+$",
  parse: parseServiceName,
};

const service = object({
  name: required(serviceName(), "What others call it by."),
  id: optional(
    string("an id"),
    "The instance among those of its name; it survives a restart.",
    "NAME-HOST-PORT of what is advertised",
  ),
  address: required(dialAddress(), "Its plain gRPC server."),
  protocol: preset(words(["grpc", "http2"]), "grpc", "What it speaks."),
  health: preset(
    words(["grpc", "tcp", "none"]),
    "grpc",
    "How the sidecar asks it every 5s whether it serves: grpc.health.v1, a TCP connection, or not at all.",
  ),
  advertise: optional(
    advertisedAddress(),
    "What others dial. Loopback only where the discovery source is on loopback.",
    "the inbound host unless a wildcard, else the variable POD_IP, else the source address of the route to the discovery source; the inbound port",
  ),
  tags: preset(list(string("a tag")), none, "Published with it."),
  meta: preset(record(metaKey, string("a string")), new Map<string, string>(), "Published with it."),
});

const consul = object({
  address: preset(httpUrl(), "http://127.0.0.1:8500", "The HTTP API of the agent."),
  token: optional(secret("an ACL token"), "Better kept in a file or a variable."),
  tokenFile: optional(string("a path", " such as /etc/outrigger/token"), "A file with the ACL token in it."),
  datacenter: optional(string("a data centre"), "The data centre that is asked.", "the agent's own"),
  namespace: optional(string("a namespace"), "Of Consul Enterprise.", "the token's own"),
  partition: optional(string("a partition"), "Of Consul Enterprise.", "the agent's own"),
  tls: optional(
    object({
      ca: optional(
        string("a path", " of a PEM file"),
        "A PEM file of the authorities that may sign the agent's certificate.",
        "those of Node.js",
      ),
      cert: optional(
        string("a path", " of a PEM file"),
        "A PEM file of the client's certificate, where the agent asks for one.",
      ),
      key: optional(string("a path", " of a PEM file"), "A PEM file of its key."),
      serverName: optional(string("a host name"), "The name in the agent's certificate.", "the host of the address"),
    }),
    "For an address that starts with https.",
    "the system's trust",
  ),
});

const dns = object({
  refresh: preset(
    duration({ min: 1000 }),
    5_000,
    "When it is asked again after an answer without a time to live, such as that there is nothing. One that has it is used for as long.",
  ),
  family: preset(
    words(["auto", "ipv4", "ipv6", "both"]),
    "auto",
    "Which addresses of a host are its instances; auto: those of IPv4, or where it has none those of IPv6.",
  ),
  servers: preset(list(nameServer()), none, "The name servers that are asked; [] for those of the system."),
  maxStale: optional(
    duration(),
    "A name that had addresses and has none any more keeps them; after so long it is believed to have none.",
    "it keeps them for ever",
  ),
});

const names = object({
  suffixes: optional(
    list(domain()),
    "What may follow a service name in :authority.",
    "service.consul, and NAMESPACE.svc.cluster.local and NAMESPACE.svc where the variable POD_NAMESPACE is set",
  ),
  onDemand: section(
    object({
      allow: preset(list(glob()), ["*"], "Names without an entry under upstreams that may be looked up; [] for none."),
      max: preset(integer({ min: 1, max: 100_000 }), 200, "How many such names are kept at once."),
      idle: preset(duration(), 600_000, "A name that is not called for so long is forgotten."),
      negative: preset(duration({ min: 0 }), 5_000, "How long it is remembered that a name has no instance."),
      rate: preset(rate(), 10, "How many lookups of new names are made."),
    }),
    "Names that no upstream declares, with a discovery source that can look them up: consul or directory.",
  ),
});

const upstream = object({
  discovery: optional(sources, "The source of its endpoints.", "discovery.default"),
  endpoints: preset(list(dialAddress()), none, "Its endpoints, with static discovery only."),
  dns: optional(
    object({
      name: optional(
        dnsName(),
        "A host, every address of which is an endpoint. It is asked for as it stands: no search domains.",
      ),
      port: optional(integer({ min: 1, max: 65_535 }), "The port at each of its addresses."),
      srv: optional(
        dnsName("_grpc._tcp.orders.internal"),
        "Instead of name and port: SRV records, which have a port each. Of several priorities the first with an address is used.",
      ),
    }),
    "Where its endpoints are in DNS, with dns discovery only.",
  ),
  hosts: preset(
    list(authority()),
    none,
    "Further names of it, each exactly as callers write it, with or without a port.",
  ),
  listen: optional(listenAddress(), "A listener of its own: any :authority that comes in there is for this upstream."),
  balancer: preset(words(wordsOf(balancers)), "leastRequest", "How an endpoint is chosen for each call."),
  timeout: optional(duration(), "The longest that a call may take; the caller's grpc-timeout is always honoured."),
});

/** The file: every key that there is, with its type, its default and what it is for. */
export const schema = object({
  service: optional(
    service,
    "The application beside this sidecar.",
    "a caller-only sidecar: no inbound listener, nothing registered",
  ),
  identity: section(
    object({
      name: optional(serviceName("a name"), "How a caller-only sidecar is called.", 'service.name, else "unnamed"'),
    }),
    "Who this sidecar is for others.",
  ),
  listeners: section(
    object({
      inbound: preset(listenAddress(), tcp("", 15006), "Calls for the application come in here."),
      outbound: preset(listenAddress(), tcp("127.0.0.1", 15001), "The application's own calls go out here."),
      admin: preset(listenAddress(), tcp("127.0.0.1", 15000), "For people: on loopback."),
      probe: preset(listenAddress(), tcp("", 15021), "For kubelet and Prometheus: read-only."),
    }),
    "Where the sidecar listens. Port 0 takes a free one.",
  ),
  admin: section(
    object({
      hosts: preset(
        list(authority()),
        none,
        "Names under which the admin listener may be asked, beside its own address and localhost.",
      ),
    }),
    "The admin listener.",
  ),
  names: section(names, "Which names a call may be for."),
  discovery: section(
    object({
      default: optional(
        sources,
        "The source of upstreams that name none, and where the service is registered; needed where several are configured.",
        "the only one that is configured, else static",
      ),
      consul: optional(consul, "A Consul agent.", "not used"),
      directory: optional(
        object({
          path: required(
            string("a path", " of a folder such as /run/mesh"),
            "The folder, shared by the sidecars of the machine.",
          ),
        }),
        "The embedded registry of one machine: a file a sidecar, written atomically, stale ones swept.",
        "not used",
      ),
      dns: optional(dns, "Host names and SRV records; each upstream says its own. Registers nothing.", "not used"),
      cache: optional(
        string("a path", " of a file such as /var/lib/outrigger/cache.json"),
        "Keeps the last good answers for a start while nobody answers, with mode 0600, for a day. Its folder must be there.",
      ),
      static: optional(
        object({}),
        "Endpoints stand under the upstream. Always there, with or without this key.",
        "always there",
      ),
    }),
    "Where endpoints come from.",
  ),
  mtls: section(
    object({ mode: preset(words(["disabled"]), "disabled", "TLS between sidecars.") }),
    "TLS between sidecars.",
  ),
  upstreams: preset(
    record(upstreamName, upstream),
    new Map(),
    "Settings by service name; a name without an entry has the defaults.",
  ),
  log: section(
    object({
      level: preset(
        words(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
        "info",
        "What is logged, as JSON lines on standard error.",
      ),
      access: preset(words(["all", "errors", "none"]), "errors", "Which calls are logged."),
    }),
    "Logs.",
  ),
  drain: section(
    object({
      notice: preset(duration({ min: 0 }), 2_000, "From being not ready and deregistered to refusing new calls."),
      grace: preset(duration({ min: 0 }), 25_000, "From there until what is left is reset."),
    }),
    "What happens before the sidecar stops.",
  ),
  keepalive: section(
    object({
      timeout: preset(
        duration(),
        10_000,
        "Within this much a peer has to answer that was asked whether it is still there: sidecars after 10s of silence " +
          "during a call, others after 310s, since many servers end the connection of whoever asks more often.",
      ),
    }),
    "Connections that lead nowhere.",
  ),
  workers: preset(integer({ min: 1, max: 1024 }), 1, "Threads that carry calls."),
});

/** What the file says, defaults filled in where they do not depend on anything. */
export type FileConfig = typeof schema extends Type<infer T> ? T : never;

function tcp(host: string, port: number): { readonly kind: "tcp"; readonly host: string; readonly port: number } {
  return { kind: "tcp", host, port };
}

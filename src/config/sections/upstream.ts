import { balancers } from "../../cluster/balancers/index.ts";
import { statusWords } from "../../http/status-words.ts";
import { methodPattern } from "../schema/calls.ts";
import { type KeyRule, list, record } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { authority, dialAddress, dnsName, listenAddress, parseServiceName, serviceName } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { string } from "../schema/text.ts";
import { optional, preset, required } from "../schema/type.ts";
import { duration, percent } from "../schema/units.ts";
import { words, wordsOf } from "../schema/words.ts";
import { adaptiveConcurrency } from "./adaptive-concurrency.ts";
import { admissionControl } from "./admission-control.ts";
import { balancing } from "./balancing.ts";
import { bandwidth } from "./bandwidth.ts";
import { circuitBreaker } from "./breaker.ts";
import { upstreamConnections } from "./connections.ts";
import { none } from "./defaults.ts";
import { health } from "./health.ts";
import { limits } from "./limits.ts";
import { idPattern, mtlsModes } from "./mtls.ts";
import { idleTimeout, protocols } from "./protocol.ts";
import { retry } from "./retry.ts";
import { sources } from "./sources.ts";

const upstreamName: KeyRule = {
  placeholder: "NAME",
  label: serviceName().label,
  pattern: "^[a-z0-9_.-]+$",
  parse: parseServiceName,
};

const upstream = object({
  protocol: preset(
    words(protocols),
    "grpc",
    "What it speaks: gRPC, other HTTP/2, HTTP/1.1 with WebSocket, or anything else over TCP.",
  ),
  idleTimeout,
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
  consul: optional(
    object({
      service: optional(serviceName("a service name"), "Its name in Consul.", "the upstream's name"),
      datacenter: optional(string("a data centre"), "Where it is.", "discovery.consul.datacenter"),
      query: optional(
        string("the name of a prepared query"),
        "Instead of service and datacenter: a prepared query, which is asked every 5s and may itself go to other data centres.",
      ),
    }),
    "What it is in Consul, with consul discovery only.",
  ),
  routing: preset(
    words(["declared", "consul"]),
    "declared",
    "Who says where its calls go: this file, or Consul's service-router, service-splitter and service-resolver as well: see [consul-routing.md](consul-routing.md).",
  ),
  startup: preset(
    words(["required", "optional"]),
    "required",
    "Whether the sidecar is ready only once discovery has answered for it. Its calls wait for the answer either way.",
  ),
  hosts: preset(
    list(authority()),
    none,
    "Further names of it, each exactly as callers write it, with or without a port.",
  ),
  listen: optional(listenAddress(), "A listener of its own: any :authority that comes in there is for this upstream."),
  balancer: preset(words(wordsOf(balancers)), "leastRequest", "How an endpoint is chosen for each call."),
  ...balancing,
  ...health,
  failover: preset(
    list(serviceName("the name of an upstream")),
    none,
    "Upstreams that get the calls for which this one has no endpoint, in their order.",
  ),
  mtls: optional(
    mtlsModes,
    "How its endpoints are dialled: in plaintext, by TLS those that say that they take it, or by TLS only.",
    "mtls.mode",
  ),
  identity: optional(
    idPattern(),
    "The SPIFFE id that its endpoints have to have.",
    "Consul's form with the name of its service, in the own trust domain and namespace; under a redirect or a failover of Consul's that of the service called",
  ),
  timeout: optional(duration(), "The longest that a call may take; the caller's grpc-timeout is always honoured."),
  connectTimeout: optional(duration(), "Within this much a connection to an endpoint has to be made.", "5s"),
  streams: optional(
    object({
      methods: required(
        list(methodPattern()),
        "Methods whose callers open a stream again that was ended; no other stream is.",
      ),
      maxAge: required(
        duration({ min: 1 }),
        "After this long a stream is ended at the end of a message, with REBALANCE, so that another one is opened, on an instance of then.",
      ),
      jitter: preset(
        percent(),
        0.1,
        "By up to so much of it earlier or later, at random, so that not all of them end at once.",
      ),
      status: preset(
        words(statusWords),
        "unavailable",
        "The gRPC status that the caller takes for a reason to open it again.",
      ),
    }),
    "Long-lived streams that may be moved to other endpoints.",
    "streams stay where they began",
  ),
  retry: optional(
    retry,
    "Makes calls again that may have run, where their method is idempotent.",
    "only what the application provably has not seen is made again",
  ),
  bandwidth: optional(
    bandwidth,
    "How many octets of its calls may pass in a second, through this sidecar: see [overload.md](overload.md#bandwidth).",
    "all",
  ),
  adaptiveConcurrency: optional(
    adaptiveConcurrency,
    "How many calls of it may be under way at once from this sidecar, learned from their latency.",
    "no such limit",
  ),
  circuitBreaker: optional(circuitBreaker, "Refuses calls for a while where too many fail or are slow."),
  admissionControl: optional(
    admissionControl,
    "Refuses a growing share of its calls while it does not take enough of them: see [overload.md](overload.md#admission-control).",
    "all calls are sent",
  ),
  connections: optional(upstreamConnections, "For how long its connections are used.", "for as long as they last"),
  limits: optional(limits, "Hard limits. Each refusal names the limit and its value."),
});

/** `upstreams` */
export const upstreams = record(upstreamName, upstream);

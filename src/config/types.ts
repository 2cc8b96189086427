import type { balancers } from "../cluster/balancers/index.ts";
import type { CheckSettings } from "../cluster/health/check.ts";
import type { OutlierSettings } from "../cluster/health/settings.ts";
import type { BiasSettings } from "../cluster/load-bias.ts";
import type { LoadSettings } from "../cluster/load-weight.ts";
import type { Address } from "../core/address.ts";
import type { ConsulCredentialOptions } from "../discovery/consul/credentials.ts";
import type { DnsFamily } from "../discovery/dns/options.ts";
import type { AuthorizationOptions } from "../filters/authorization-policy.ts";
import type { ExternalOptions } from "../filters/external/external-authorization.ts";
import type { TokenOptions, TokenUse } from "../filters/jwt/tokens.ts";
import type { CallMatch } from "../http/call-match.ts";
import type { FieldEditOptions } from "../http/field-edits.ts";
import type { Direction } from "../http/reason.ts";
import type { StatusWord } from "../http/status-words.ts";
import type { MtlsMode } from "../identity/door.ts";
import type { HandshakeLimits } from "../identity/handshake-limits.ts";
import type { KeyPlace } from "../identity/jwt/key-source.ts";
import type { TokenRules } from "../identity/jwt/verifier.ts";
import type { FilesOptions } from "../identity/sources/files.ts";
import type { BandwidthOptions } from "../limits/bandwidth/limits.ts";
import type { KeyPart } from "../limits/call-key.ts";
import type { ConcurrencyOptions } from "../limits/concurrency-limit.ts";
import type { OverloadOptions } from "../limits/overload/options.ts";
import type { RateLimitOptions } from "../limits/rate-limit.ts";
import type { ConnectionTerms } from "../net/connection-life.ts";
import type { AccessMode, Redactable } from "../observability/access-log.ts";
import type { LogFormat, LogLevel } from "../observability/log.ts";
import type { TracingOptions } from "../observability/tracing/options.ts";

/** The effective configuration: every default filled in, durations in milliseconds, percentages as shares of 1. */
export interface Config {
  readonly service: ServiceConfig | undefined;
  readonly identity: { readonly name: string };
  readonly listeners: {
    readonly inbound: Address;
    readonly outbound: Address;
    readonly admin: Address;
    readonly probe: Address;
  };
  readonly connections: { readonly [direction in Direction]: CallersConfig };
  readonly admin: AdminConfig;
  readonly names: NamesConfig;
  readonly discovery: DiscoveryConfig;
  readonly mtls: MtlsConfig;
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  readonly rateLimits: readonly RateLimitOptions[];
  readonly routes: readonly RouteConfig[];
  /** undefined: everybody may call. */
  readonly authorization: (AuthorizationOptions & { readonly external: ExternalConfig | undefined }) | undefined;
  /** undefined: tokens are nobody's business. */
  readonly jwt: JwtConfig | undefined;
  readonly faults: readonly FaultConfig[];
  readonly deadlines: { readonly refuseHopeless: "never" | "onRequest" };
  /** undefined: nothing is redirected. */
  readonly capture: CaptureConfig | undefined;
  readonly egress: "pass" | "declared";
  /** By port, as a decimal number. */
  readonly protocols: ReadonlyMap<string, "http2" | "http1" | "tls" | "tcp">;
  readonly log: LogConfig;
  readonly metrics: { readonly names: "outrigger" | "otel"; readonly application: string | undefined };
  readonly tracing: TracingOptions | undefined;
  readonly explain: ExplainConfig;
  readonly drain: { readonly notice: number; readonly grace: number };
  readonly keepalive: { readonly timeout: number };
  readonly overload: OverloadOptions;
  readonly workers: number;
}

/** Connections of the callers of one direction. Durations are in milliseconds. */
export interface CallersConfig extends ConnectionTerms {
  readonly max: number;
  readonly maxPerSource: number | undefined;
}

/** Who may ask the admin listener. */
export interface AdminConfig {
  readonly hosts: readonly string[];
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  /** Paths of PEM files. */
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined;
}

/** The service that decides about calls: an upstream or an address. */
export type ExternalConfig = Omit<ExternalOptions, "service" | "failureStatus"> & {
  readonly upstream: string | undefined;
  readonly address: Address | undefined;
  readonly failureStatus: StatusWord;
  /** Fields of each question. */
  readonly metadata: ReadonlyMap<string, string>;
};

/** Tokens of callers. */
export interface JwtConfig extends TokenOptions {
  readonly providers: ReadonlyMap<string, TokenUse & TokenRules & { readonly keys: KeyPlace }>;
}

/** `log`. Durations are in milliseconds. */
export interface LogConfig {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly access: AccessMode;
  /** Share of calls. */
  readonly sampling: number;
  readonly slow: number | undefined;
  /** Lines a second. */
  readonly limit: number;
  readonly redact: readonly Redactable[];
}

/** `explain`. */
export interface ExplainConfig {
  /** Calls that are remembered. */
  readonly calls: number;
  /** `application`, or SPIFFE ids with `*` for a part. */
  readonly callers: readonly string[];
}

/** Where redirected connections come in and what becomes of them. */
export interface CaptureConfig {
  readonly inbound: Address;
  readonly outbound: Address;
  readonly otherPorts: "pass" | "refuse";
  readonly rules: "auto" | "nftables" | "iptables";
  readonly exclude: {
    readonly inboundPorts: readonly number[];
    readonly outboundPorts: readonly number[];
    readonly cidrs: readonly string[];
    readonly users: readonly number[];
  };
  /** Loopback and link-local addresses that may be called all the same. */
  readonly allow: readonly Address[];
}

/** What calls of an upstream, or of the service, are made in. */
export type Protocol = "grpc" | "http2" | "http1" | "tcp";

/** Where endpoints come from. */
export type SourceKind = "consul" | "directory" | "dns" | "static";

/** `service`: the application beside this sidecar. Durations are in milliseconds. */
export interface ServiceConfig {
  readonly name: string;
  /** undefined: the default NAME-HOST-PORT of what is advertised. */
  readonly id: string | undefined;
  readonly address: Address;
  readonly protocol: Protocol;
  readonly idleTimeout: number | undefined;
  readonly health: "grpc" | "http" | "tcp" | "none";
  readonly healthPath: string | undefined;
  /** An empty host and port 0 are left to be found at start, as all of it is where this is undefined. */
  readonly advertise: { readonly host: string; readonly port: number } | undefined;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly adaptiveConcurrency: ConcurrencyOptions | undefined;
  readonly bandwidth: BandwidthOptions | undefined;
}

/** `names`: which names that nobody declared may be called. Durations are in milliseconds. */
export interface NamesConfig {
  readonly suffixes: readonly string[];
  readonly onDemand: {
    /** Globs of service names; empty: none may be looked up. */
    readonly allow: readonly string[];
    readonly max: number;
    readonly idle: number;
    readonly negative: number;
    /** Lookups a second. */
    readonly rate: number;
  };
}

/** `discovery.consul`. */
export interface ConsulConfig extends ConsulCredentialOptions {
  readonly address: string;
  readonly datacenter: string | undefined;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
}

/** `discovery`. */
export interface DiscoveryConfig {
  /** The source of upstreams that name none. */
  readonly default: SourceKind;
  readonly consul: ConsulConfig | undefined;
  readonly directory: { readonly path: string } | undefined;
  readonly dns: DnsConfig | undefined;
  /** The file of the last good answers. */
  readonly cache: string | undefined;
}

/** `discovery.dns`. Durations are in milliseconds. */
export interface DnsConfig {
  readonly refresh: number;
  readonly family: DnsFamily;
  /** HOST:PORT each. */
  readonly servers: readonly string[];
  readonly maxStale: number | undefined;
}

/** `mtls`. Durations are in milliseconds. */
export interface MtlsConfig {
  readonly mode: MtlsMode;
  /** Exactly one of them, unless the mode is disabled. */
  readonly source:
    | {
        readonly files: FilesOptions | undefined;
        readonly consul: object | undefined;
        readonly spiffe: { readonly socket: string } | undefined;
        readonly development: { readonly path: string } | undefined;
      }
    | undefined;
  /** A pattern. */
  readonly identity: string | undefined;
  readonly minVersion: "tls12" | "tls13";
  /** Milliseconds. */
  readonly rootOverlap: number;
  readonly handshakes: HandshakeLimits;
}

interface HealthQuestion {
  readonly service: string | undefined;
  readonly path: string | undefined;
}

/** One of `upstreams`. Durations are in milliseconds, shares in [0, 1]. */
export interface UpstreamConfig {
  readonly protocol: Protocol;
  readonly discovery: SourceKind;
  /** For the static source only. */
  readonly endpoints: readonly Address[];
  /** For the dns source only: a name and a port, or an srv. */
  readonly dns:
    | { readonly name: string | undefined; readonly port: number | undefined; readonly srv: string | undefined }
    | undefined;
  /** For the consul source only: a service, or a prepared query. */
  readonly consul:
    | {
        readonly service: string | undefined;
        readonly datacenter: string | undefined;
        readonly query: string | undefined;
      }
    | undefined;
  readonly routing: "declared" | "consul";
  /** Whether the sidecar is ready only once its endpoints are known. */
  readonly startup: "required" | "optional";
  readonly hosts: readonly string[];
  readonly listen: Address | undefined;
  readonly balancer: keyof typeof balancers;
  /** Of how many endpoints drawn at random leastRequest takes the best one. */
  readonly choices: number;
  readonly order: "listed" | "shuffled";
  readonly hash:
    | {
        readonly by: "metadata" | "identity" | "path";
        readonly name: string | undefined;
        readonly maxLoad: number | undefined;
      }
    | undefined;
  readonly aperture: number | undefined;
  readonly loadReports: LoadSettings | undefined;
  readonly slowStart:
    | { readonly window: number; readonly from: number; readonly curve: "linear" | "early" | "late" }
    | undefined;
  readonly loadBias: BiasSettings | undefined;
  readonly zones: { readonly prefer: "own"; readonly own: string | undefined } | undefined;
  readonly priorities: readonly ReadonlyMap<string, string>[];
  readonly spillBelow: number;
  readonly spillAbove: number | undefined;
  readonly subsets:
    | {
        readonly match: ReadonlyMap<string, string>;
        readonly byMetadata: ReadonlyMap<string, string>;
        readonly otherwise: "refuse" | "any";
      }
    | undefined;
  readonly affinity:
    | {
        readonly metadata: string | undefined;
        readonly cookie: string | undefined;
        readonly maxAge: number | undefined;
      }
    | undefined;
  readonly panicThreshold: number;
  readonly outlierDetection: OutlierSettings;
  readonly healthCheck: (Omit<CheckSettings, "service" | "path"> & HealthQuestion) | undefined;
  /** Names of upstreams. */
  readonly failover: readonly string[];
  readonly timeout: number | undefined;
  readonly idleTimeout: number | undefined;
  readonly streams:
    | {
        readonly methods: readonly string[];
        readonly maxAge: number;
        readonly jitter: number;
        readonly status: StatusWord;
      }
    | undefined;
  readonly connectTimeout: number | undefined;
  /** undefined: as `mtls.mode`. */
  readonly mtls: MtlsMode | undefined;
  /** A pattern. */
  readonly identity: string | undefined;
  readonly retry: RetryConfig | undefined;
  readonly adaptiveConcurrency: ConcurrencyOptions | undefined;
  readonly bandwidth: BandwidthOptions | undefined;
  readonly circuitBreaker: BreakerConfig | undefined;
  readonly admissionControl: AdmissionConfig | undefined;
  /** Of an upstream: for how long its connections are used. */
  readonly connections: { readonly maxAge: number | undefined; readonly maxRequests: number | undefined } | undefined;
  readonly limits: LimitsConfig | undefined;
}

/** One of `routes`. */
export interface RouteConfig {
  readonly name: string;
  readonly upstream: string;
  readonly match: { readonly method: string; readonly metadata: ReadonlyMap<string, string> };
  readonly to: string | undefined;
  readonly split: readonly { readonly to: string; readonly share: number }[];
  readonly stickyBy: KeyPart | undefined;
  readonly mirror:
    | {
        readonly to: string;
        readonly share: number;
        readonly compare: "none" | "status" | "messages" | "metadata";
        readonly ignore: readonly string[];
      }
    | undefined;
  readonly request: FieldEditOptions;
  readonly response: FieldEditOptions;
  readonly timeout: number | undefined;
  readonly retry: RetryConfig | undefined;
}

/** One of `faults`. The share is in [0, 1], the delay in milliseconds. */
export interface FaultConfig {
  readonly name: string;
  readonly direction: Direction;
  readonly match: CallMatch;
  readonly percentage: number;
  readonly delay: number | undefined;
  readonly abort: StatusWord | undefined;
}

/** `upstreams.NAME.circuitBreaker`. Durations are in milliseconds, shares in [0, 1]. */
export interface BreakerConfig {
  readonly failureRate: number;
  readonly slowCall: number | undefined;
  readonly slowRate: number | undefined;
  readonly window: number;
  readonly minimumRequests: number;
  readonly openFor: number;
  readonly statuses: readonly StatusWord[];
  readonly scope: "upstream" | "method";
  readonly fallback: { readonly upstream: string | undefined; readonly status: StatusWord | undefined } | undefined;
}

/** `upstreams.NAME.admissionControl`. Shares are in [0, 1], `window` is in milliseconds. */
export interface AdmissionConfig {
  readonly acceptRate: number;
  readonly window: number;
  readonly minimumRequests: number;
  readonly maxRefused: number;
  readonly statuses: readonly StatusWord[];
}

/** `upstreams.NAME.limits`. Durations are in milliseconds. */
export interface LimitsConfig {
  readonly maxConnections: number | undefined;
  readonly maxConcurrent: number | undefined;
  readonly maxQueue: number;
  readonly maxQueueTime: number;
}

/** `upstreams.NAME.retry`. Durations are in milliseconds, the budget is a share in [0, 1]. */
export interface RetryConfig {
  readonly attempts: number;
  readonly budget: number;
  readonly statuses: readonly StatusWord[];
  readonly perTryTimeout: number | undefined;
  readonly hedgeAfter: number | undefined;
  readonly backoff: { readonly base: number; readonly max: number };
  readonly idempotentMethods: readonly string[];
  /** The path of a FileDescriptorSet, or `reflection`. */
  readonly descriptors: string | undefined;
}

import { isDeepStrictEqual } from "node:util";
import type { ConnectOptions } from "../cluster/pool/connect.ts";
import { type UpstreamMode, UpstreamTls } from "../cluster/pool/upstream-tls.ts";
import type { Config } from "../config/types.ts";
import { Watch } from "../core/watch.ts";
import type { EndpointSpec } from "../discovery/source.ts";
import type { WorkloadCertificate } from "../identity/certificate.ts";
import type { Credentials } from "../identity/credentials.ts";
import { Door, type DoorHandler, type DoorOptions } from "../identity/door.ts";
import { Identity } from "../identity/identity.ts";
import { consulPattern, IdPattern, placeOf } from "../identity/spiffe.ts";
import { identitySettings, makeIdentitySource, needsIdentity, ownPatterns } from "./identity-source.ts";
import type { Waiting } from "./readiness.ts";
import type { ProcessServices } from "./services.ts";

/** Why connections make room for others when somebody is no longer trusted, and milliseconds over which they do. */
export const RENEWAL = { reason: "whom this sidecar trusts has changed", spread: 4000 } as const;

/** Names of whom it is known who they have to be: callers may have names looked up, one after the other. */
const MAX_PATTERNS = 1024;

/** A configuration that can be put in force; one of the two is called. */
export interface PreparedMtls {
  readonly adopt: () => void;
  readonly discard: () => Promise<void>;
}

/** A cluster whose endpoints are dialled. */
export interface Dialled {
  /** Whose calls it gets. */
  readonly upstream: string;
  /** Asked for each dial: the service of Consul whose instances it has; undefined: the upstream's own. */
  readonly service: () => string | undefined;
  /** What discovery says of all of them. */
  readonly endpoints: () => Iterable<Pick<EndpointSpec, "meta">>;
  readonly how: () => ConnectOptions;
}

/** TLS between sidecars: who this one is, how it lets others in, how it dials them. */
export class Mtls {
  private readonly services: ProcessServices;
  private readonly startedAt: number;
  private config: Config;
  private identity: Identity | undefined;
  /** The one before, while its successor has no certificate yet. */
  private former: Identity | undefined = undefined;
  private readonly patterns = new Map<string, IdPattern>();
  /** Changes when somebody who was let in, or dialled, would perhaps be no more. */
  readonly narrowed = new Watch(0);

  constructor(config: Config, services: ProcessServices) {
    this.config = config;
    this.services = services;
    this.startedAt = services.clock.wall();
    this.identity = this.makeIdentity(config);
  }

  /** Resolves with the first word of the identity's source. Rejects where that is no identity, or not ours. */
  async start(): Promise<void> {
    await this.identity?.start();
  }

  /** What handshakes are made with now; undefined where there is nothing valid. */
  get credentials(): Credentials | undefined {
    return this.identity?.credentials ?? this.former?.credentials;
  }

  /** When the own certificate ends, in milliseconds since the Unix epoch; undefined where there is none. */
  get notAfter(): number | undefined {
    return this.identity?.notAfter ?? this.former?.notAfter;
  }

  /** Calls back once there is a certificate, at once where there is one or none is needed. */
  whenKnown(callback: () => void): void {
    const { identity } = this;
    if (identity === undefined || this.credentials !== undefined) {
      callback();
      return;
    }
    const stop = identity.current.onChange((credentials) => {
      if (credentials === undefined) return;
      stop();
      callback();
    });
  }

  /** Why calls cannot be taken yet, or any more. */
  get waiting(): Waiting | undefined {
    const { identity } = this;
    if (identity === undefined || this.config.mtls.mode === "disabled" || this.credentials !== undefined)
      return undefined;
    const since = new Date(identity.notAfter ?? this.startedAt).toISOString();
    const what = identity.notAfter === undefined ? "there is no certificate yet" : "the certificate has expired";
    return {
      what: "certificate",
      since,
      detail: `${what}: ${identity.problem ?? `${identity.kind} has not answered`}`,
    };
  }

  /** What people should know although calls are taken. */
  get warning(): string | undefined {
    return this.identity?.warning;
  }

  /** How connections of others come in; `how`: what they may speak. */
  door(handler: DoorHandler, how: Pick<DoorOptions, "choose" | "silence">): Door {
    const { clock, log, metrics } = this.services;
    return new Door(
      {
        mode: () => this.config.mtls.mode,
        limits: () => this.config.mtls.handshakes,
        ...how,
        credentials: () => this.credentials,
        counted: (result) => metrics.tls.count("inbound", result),
        clock,
        log: log.logger,
      },
      handler,
    );
  }

  /** How the endpoints of a cluster are dialled. */
  upstream({ upstream, service, endpoints, how }: Dialled): UpstreamTls {
    const { http2, metrics } = this.services;
    return new UpstreamTls(http2, how, {
      name: upstream,
      mode: () => this.modeOf(upstream),
      credentials: () => this.credentials,
      expected: (own) => this.expected(upstream, service(), own),
      endpoints,
      counted: (result) => metrics.tls.count("outbound", result),
    });
  }

  /** Prepares another configuration. Rejects where the identity that it asks for is none, or not ours. */
  async prepare(config: Config): Promise<PreparedMtls> {
    const isSame =
      needsIdentity(config) === needsIdentity(this.config) &&
      isDeepStrictEqual(identitySettings(config), identitySettings(this.config));
    if (isSame) return { adopt: () => this.adopt(config, this.identity), discard: async () => {} };
    const next = this.makeIdentity(config);
    const discard = async (): Promise<void> => next?.close();
    try {
      await next?.start();
    } catch (error) {
      await discard();
      throw error;
    }
    return { adopt: () => this.adopt(config, next), discard };
  }

  /** Sessions and tickets of before are void: what was decided about their peers may be decided otherwise now. */
  voidSessions(): void {
    this.identity?.voidSessions();
  }

  async close(): Promise<void> {
    await Promise.all([this.identity?.close(), this.former?.close()]);
  }

  private adopt(config: Config, next: Identity | undefined): void {
    const before = this.config;
    const old = this.identity;
    this.config = config;
    this.patterns.clear();
    if (next === old) {
      if (before.mtls.mode !== config.mtls.mode) this.voidSessions();
      return;
    }
    this.identity = next;
    void this.former?.close();
    this.former = next === undefined ? undefined : old;
    if (next === undefined) void old?.close();
    this.whenOwn(next, () => {
      void this.former?.close();
      this.former = undefined;
    });
  }

  private whenOwn(identity: Identity | undefined, callback: () => void): void {
    if (identity === undefined) return;
    if (identity.credentials !== undefined) {
      callback();
      return;
    }
    const stop = identity.current.onChange((credentials) => {
      if (credentials === undefined) return;
      stop();
      if (this.identity === identity) callback();
    });
  }

  private makeIdentity(config: Config): Identity | undefined {
    if (!needsIdentity(config)) return undefined;
    const { clock, log, random } = this.services;
    const { minVersion, rootOverlap } = config.mtls;
    const identity = new Identity(makeIdentitySource(config, this.services), {
      rules: { own: ownPatterns(config), minVersion: minVersion === "tls12" ? "TLSv1.2" : "TLSv1.3" },
      overlap: rootOverlap,
      clock,
      log: log.logger,
      random,
    });
    identity.narrowed.onChange(() => this.narrowed.set(this.narrowed.current + 1));
    return identity;
  }

  private modeOf(name: string): UpstreamMode {
    const mode = this.config.upstreams.get(name)?.mtls ?? this.config.mtls.mode;
    // Without a source there is nothing to speak TLS with, and the configuration has been checked for that.
    return this.identity === undefined ? "disabled" : mode;
  }

  /** Under a redirect or a failover to another service, whoever that one is has to answer. */
  private expected(upstream: string, service: string | undefined, own: WorkloadCertificate): IdPattern {
    const { upstreams } = this.config;
    const itself = upstreams.get(upstream)?.consul?.service ?? upstream;
    const name = service ?? itself;
    const written = upstreams.get(name === itself ? upstream : name)?.identity;
    const key = written ?? `${own.id.text} ${name}`;
    const known = this.patterns.get(key);
    if (known !== undefined) return known;
    const pattern = written === undefined ? consulPattern(name, placeOf(own.id)) : IdPattern.parse(written);
    if (typeof pattern === "string") throw new Error(`upstreams.${name}.identity is no SPIFFE id: ${pattern}`);
    if (this.patterns.size >= MAX_PATTERNS) this.patterns.clear();
    this.patterns.set(key, pattern);
    return pattern;
  }
}

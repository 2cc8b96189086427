import { isDeepStrictEqual } from "node:util";
import { defaultPolicy } from "../cluster/policy.ts";
import type { ExternalConfig } from "../config/types.ts";
import { formatAddress } from "../core/address.ts";
import { version } from "../core/version.ts";
import type { DiscoveryServices } from "../discovery/services.ts";
import { StaticSource } from "../discovery/static.ts";
import type { Ask, ExternalOptions } from "../filters/external/external-authorization.ts";
import type { Call } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { statusOf } from "../http/status-words.ts";
import { OwnCall } from "../proxy/own-call.ts";
import type { ExchangeServices } from "../proxy/services.ts";
import type { Destination } from "../proxy/target.ts";
import { WaitingRoom } from "../proxy/waiting-room.ts";
import type { ProcessServices } from "./services.ts";
import type { MakeCluster } from "./upstreams/upstreams.ts";

const CHECK = "/envoy.service.auth.v3.Authorization/Check";
/** Questions at once, and the octets of those that are not answered; with more it counts as not answering. */
const MAX_QUESTIONS = 1000;
const MAX_OCTETS = 16_777_216;
/** How a service is called that is no upstream. */
const NAME = "authorization";

/** How the service is reached. */
export interface AuthorizationServiceOptions {
  readonly services: ProcessServices;
  readonly exchange: ExchangeServices;
  readonly discovery: DiscoveryServices;
  /** Makes the cluster of an address. */
  readonly makeCluster: MakeCluster;
  /** A declared upstream. */
  readonly upstream: (name: string) => Destination | undefined;
}

/** The service that `authorization.external` names: where it is, and how it is asked. */
export class AuthorizationService {
  private readonly options: AuthorizationServiceOptions;
  private readonly room = new WaitingRoom({ calls: MAX_QUESTIONS, octets: MAX_OCTETS, time: 0 });
  private external: ExternalConfig | undefined = undefined;
  private own: Destination | undefined = undefined;

  constructor(options: AuthorizationServiceOptions) {
    this.options = options;
    options.services.external.ask = this.ask;
  }

  /** Goes over to another configuration. Connections to an address stay while it does. */
  apply(external: ExternalConfig | undefined): void {
    const before = this.external;
    this.external = external;
    if (before !== undefined && isDeepStrictEqual(before.address, external?.address)) return;
    this.own?.cluster.close();
    this.own = undefined;
    if (external?.address === undefined) return;
    const source = new StaticSource(new Map([[NAME, [external.address]]]), this.options.discovery);
    this.own = { name: NAME, cluster: this.options.makeCluster(NAME, source, defaultPolicy) };
  }

  close(): void {
    this.own?.cluster.close();
  }

  private get destination(): Destination | undefined {
    const { upstream } = this.external ?? {};
    return upstream === undefined ? this.own : this.options.upstream(upstream);
  }

  private readonly ask: Ask = (question, call, timeout, done) => {
    const to = this.destination;
    if (to === undefined || !this.room.enter()) {
      done({ failed: to === undefined ? "it is not there" : `${MAX_QUESTIONS} questions wait already` });
      return () => {};
    }
    const own = new OwnCall(to, this.head(call), question, timeout, this.room, this.options.exchange, done);
    return () => own.stop();
  };

  private head(call: Call): Head {
    const { headers, tracer } = this.options.exchange;
    const { address, upstream, metadata } = this.external ?? {};
    const head = headers.head([
      [":method", "POST"],
      [":scheme", "http"],
      [":path", CHECK],
      [":authority", upstream ?? (address?.kind === "tcp" ? formatAddress(address) : "localhost")],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["user-agent", `outrigger/${version}`],
      ...[...(metadata ?? [])].map(([name, value]) => [name, value, true] as const),
    ]);
    return tracer.inject(headers, call, head);
  }
}

/** What the filter is told of it. */
export function externalOptions(external: ExternalConfig): ExternalOptions {
  const { address, upstream, failureStatus, metadata: _, ...options } = external;
  const service = upstream ?? (address === undefined ? "" : formatAddress(address));
  return { ...options, service, failureStatus: statusOf(failureStatus) };
}

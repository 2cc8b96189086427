import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import type { Registrar } from "../discovery/source.ts";
import type { Application } from "./application.ts";
import { Publication } from "./publication.ts";
import { samePlace } from "./service-change.ts";
import type { ProcessServices } from "./services.ts";

/** What is in force, asked whenever something is published. */
export interface Publishable {
  readonly config: Config;
  readonly app: Application | undefined;
  /** Where the inbound listener is bound. */
  readonly inbound: Address | undefined;
}

/** What the publication in force is made from. */
export interface PublisherOptions {
  readonly inForce: () => Publishable;
  /** A new registrar of the default source in force; undefined where that publishes nothing. */
  readonly registrar: () => Registrar | undefined;
  readonly services: ProcessServices;
  readonly podIp: string | undefined;
  readonly version: string;
}

/** What was published last; without a publication where there was nothing to publish, or nobody to publish it. */
interface Published extends Publishable {
  readonly publication: Publication | undefined;
}

/** Milliseconds for another source to take the service before it is withdrawn from the one that had it. */
const TAKEN_WITHIN = 5000;

/**
 * Keeps published what is in force, over every change of it.
 *
 * Invariants: what was published is not taken away before its successor is there, since others would see the service go;
 * changes are made one after the other; after `withdraw` nothing is published.
 */
export class Publisher {
  private readonly options: PublisherOptions;
  private last: Published | undefined = undefined;
  private changes: Promise<void> = Promise.resolve();
  private withdrawn = false;

  constructor(options: PublisherOptions) {
    this.options = options;
  }

  /** Publishes for the first time. Rejects with an AdvertiseError where nothing can be advertised. */
  async start(): Promise<void> {
    // Asked to go while it starts: others would find a service that takes no calls.
    if (this.withdrawn) return;
    const next = this.prepare(undefined);
    this.last = next;
    await next.publication?.begin();
  }

  /** What is in force has changed. */
  update(): void {
    this.changes = this.changes.then(() => this.change());
  }

  /** Takes the service out of discovery, for good. Resolves within a bounded time. */
  async withdraw(): Promise<void> {
    this.withdrawn = true;
    await Promise.all([this.last?.publication?.withdraw(), this.changes]);
  }

  private async change(): Promise<void> {
    const old = this.last;
    // Nothing has been published yet: `start` will publish what is in force then.
    if (old === undefined) return;
    const now = this.options.inForce();
    const place = samePlace(old.config, now.config);
    const isSame =
      old.app === now.app &&
      isDeepStrictEqual(old.config.service, now.config.service) &&
      old.config.mtls.mode === now.config.mtls.mode;
    if (this.withdrawn || (place === "same" && isSame)) return;
    const next = this.prepare(place === "same" ? old.publication?.registrar : undefined);
    this.last = next;
    try {
      await next.publication?.begin();
    } catch (error) {
      const { logger } = this.options.services.log;
      logger.error({ err: error }, "cannot publish the service as it is configured now: what was published stays");
      next.publication?.release();
      this.last = old;
      if (this.withdrawn) await old.publication?.withdraw();
      return;
    }
    if (place === "same") {
      old.publication?.release();
    } else if (place === "credentials") {
      await old.publication?.abandon();
    } else {
      await next.publication?.published(TAKEN_WITHIN);
      await old.publication?.withdraw();
    }
  }

  /** `registrar`: the one that has the service already. */
  private prepare(registrar: Registrar | undefined): Published {
    const { services, podIp, version } = this.options;
    const now = this.options.inForce();
    const { config, app, inbound } = now;
    const by = registrar ?? this.options.registrar();
    if (config.service === undefined || app === undefined || by === undefined || inbound === undefined)
      return { ...now, publication: undefined };
    const { consul } = config.discovery;
    const isConsul = config.discovery.default === "consul" && consul !== undefined;
    const publication = new Publication({
      service: config.service,
      registrar: by,
      health: app.health,
      inbound,
      source: isConsul ? { kind: "consul", address: consul.address } : { kind: "directory" },
      podIp,
      version,
      mtls: config.mtls.mode,
      clock: services.clock,
      random: services.random,
      log: services.log.logger,
    });
    return { ...now, publication };
  }
}

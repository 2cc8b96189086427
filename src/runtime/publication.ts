import type { Logger } from "pino";
import type { AppHealth } from "../cluster/app-health.ts";
import type { ServiceConfig } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { Backoff } from "../core/backoff.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { AdvertiseError, type AdvertiseOptions, advertise } from "../discovery/advertise.ts";
import { makeRegistration } from "../discovery/registration.ts";
import type { Registrar } from "../discovery/source.ts";

/** What is published, and where. */
export interface PublicationOptions {
  readonly service: ServiceConfig;
  readonly registrar: Registrar;
  readonly health: AppHealth;
  readonly inbound: Address;
  readonly source: AdvertiseOptions["source"];
  readonly podIp: string | undefined;
  readonly version: string;
  readonly mtls: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
}

/** Publishes the service beside this sidecar, with the application's own word on its health, until it is withdrawn. */
export class Publication {
  private readonly options: PublicationOptions;
  private stopListening: (() => void) | undefined = undefined;
  private retry: Timer | undefined = undefined;
  private over = false;
  private readonly backoff: Backoff;
  private settle: () => void = () => {};
  /** The source has taken the service, or never will: the publication is over. */
  private readonly settled: Promise<void>;

  constructor(options: PublicationOptions) {
    this.options = options;
    this.backoff = new Backoff({ base: 500, cap: 10_000, random: options.random });
    this.settled = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  /**
   * Finds out what to advertise and publishes it, for as long as it takes. Rejects with an AdvertiseError where nothing can be
   * advertised, whatever is tried.
   */
  async begin(): Promise<void> {
    const { service, registrar, health, inbound, source, podIp, version, mtls, log } = this.options;
    try {
      const advertised = await advertise({ configured: service.advertise, inbound, podIp, source });
      if (this.over) return;
      // What was said of the application before, in whose place this one is, holds until this one has answered.
      const tell = (): void => {
        if (health.answered) registrar.setHealth(health.state.current.serving, health.state.current.note);
      };
      tell();
      this.stopListening = health.state.onChange(tell);
      const registration = makeRegistration(service, advertised, { version, mtls });
      registrar.register(registration).then(
        () => {
          this.settle();
          log.info(
            { id: registration.id, host: registration.host, port: registration.port },
            `published ${registration.id}`,
          );
        },
        (error: unknown) => log.error({ err: error }, "cannot publish the service"),
      );
    } catch (error) {
      if (!(error instanceof AdvertiseError) || !error.isTemporary) throw error;
      log.warn({ err: error }, error.message);
      this.retry = this.options.clock.setTimer(this.backoff.next(), () => {
        this.begin().catch((failure: unknown) => log.error({ err: failure }, "cannot publish the service"));
      });
    }
  }

  /** Who publishes: the next publication goes on with it. */
  get registrar(): Registrar {
    return this.options.registrar;
  }

  /** Resolves once the source has taken the service, or the publication is over; after `ms` milliseconds at the latest. */
  async published(ms: number): Promise<void> {
    let timer: Timer | undefined;
    const late = new Promise<void>((resolve) => {
      timer = this.options.clock.setTimer(ms, resolve);
    });
    await Promise.race([this.settled, late]);
    timer?.cancel();
  }

  /** Leaves what was published to a next publication of the same service by the same registrar. */
  release(): void {
    this.end();
  }

  /** Leaves what was published to a next publication by another registrar of the same place. */
  async abandon(): Promise<void> {
    if (this.end()) await this.options.registrar.abandon();
  }

  /** Withdraws what was published. Resolves within a bounded time, whether or not the source answers. */
  async withdraw(): Promise<void> {
    if (this.end()) await this.options.registrar.deregister();
  }

  /** False where it was over before. */
  private end(): boolean {
    if (this.over) return false;
    this.over = true;
    this.retry?.cancel();
    this.stopListening?.();
    this.settle();
    return true;
  }
}

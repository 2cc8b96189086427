import { Backoff } from "../../core/backoff.ts";
import { Alarm } from "../alarm.ts";
import type { DiscoveryServices } from "../services.ts";
import type { Registrar, Registration } from "../source.ts";
import { type AgentService, ConsulClient, type ConsulOptions } from "./client.ts";
import { ConsulError } from "./error.ts";

/** How a registration spends its time, in milliseconds. */
export interface ConsulRegistrarTimings {
  /** Between two passes of the TTL check: a third of the TTL, so that two may be lost. */
  readonly beat: number;
  readonly timeout: number;
  readonly backoffBase: number;
  readonly backoffCap: number;
  /** For one try of the deregistration; there are three. */
  readonly deregisterTimeout: number;
}

/** What is used outside of tests; in milliseconds. */
const CONSUL_REGISTRAR_TIMINGS: ConsulRegistrarTimings = {
  beat: 5000,
  timeout: 4000,
  backoffBase: 250,
  backoffCap: 5000,
  deregisterTimeout: 1500,
};

const DEREGISTER_TRIES = 3;
/** Consul keeps no more than 4 KiB of a check's output. */
const MAX_NOTE = 1024;

/** What the loop works on; its end is the end of everything that belongs to it. */
interface Standing {
  registration: Registration;
  /** Whether the agent is thought to know it as it is now. */
  known: boolean;
  /** Whether the agent has taken it once. */
  published: boolean;
  /** Ids that the service had before. */
  readonly formerIds: Set<string>;
  readonly alarm: Alarm;
  readonly stop: AbortController;
  loop: Promise<void>;
}

/** Publishes the service through the agent, with a TTL check whose state is the application's own answer. */
export class ConsulRegistrar implements Registrar {
  private readonly client: ConsulClient;
  private readonly isNative: boolean;
  private readonly services: DiscoveryServices;
  private readonly timings: ConsulRegistrarTimings;
  private readonly backoff: Backoff;
  private standing: Standing | undefined;
  private health = { serving: false, note: "the application has not answered yet" };
  private troubled = false;
  private waiters: (() => void)[] = [];

  constructor(options: ConsulOptions, services: DiscoveryServices, timings = CONSUL_REGISTRAR_TIMINGS) {
    this.client = new ConsulClient(options, services.clock);
    this.isNative = options.connect?.native ?? false;
    this.services = services;
    this.timings = timings;
    this.backoff = new Backoff({ base: timings.backoffBase, cap: timings.backoffCap, random: services.random });
    // The agent goes on to speak to the servers with the token of the registration.
    this.client.onRenewed(() => {
      if (this.standing === undefined) return;
      this.standing.known = false;
      this.standing.alarm.ring();
    });
  }

  register(registration: Registration): Promise<void> {
    const published = new Promise<void>((resolve) => this.waiters.push(resolve));
    if (this.standing === undefined) {
      this.standing = {
        registration,
        known: false,
        published: false,
        formerIds: new Set(),
        alarm: new Alarm(this.services.clock),
        stop: new AbortController(),
        loop: Promise.resolve(),
      };
      this.standing.loop = this.stand(this.standing);
    } else {
      const { registration: old, formerIds, alarm } = this.standing;
      formerIds.delete(registration.id);
      if (old.id !== registration.id) formerIds.add(old.id);
      this.standing.registration = registration;
      this.standing.known = false;
      alarm.ring();
    }
    return published;
  }

  setHealth(serving: boolean, note: string): void {
    const changed = serving !== this.health.serving;
    this.health = { serving, note: note.slice(0, MAX_NOTE) };
    if (changed) this.standing?.alarm.ring();
  }

  async abandon(): Promise<void> {
    if ((await this.end()) !== undefined) this.leave();
  }

  async deregister(): Promise<void> {
    const standing = await this.end();
    if (standing === undefined) return;
    // Also where no registration was ever answered: the agent may have taken one all the same.
    for (const id of [standing.registration.id, ...standing.formerIds]) await this.withdraw(id);
    this.leave();
  }

  /** Ends the loop; gives what it worked on, once. */
  private async end(): Promise<Standing | undefined> {
    const { standing } = this;
    if (standing === undefined) return undefined;
    this.standing = undefined;
    standing.stop.abort();
    standing.alarm.ring();
    await standing.loop;
    return standing;
  }

  private leave(): void {
    this.client.close();
    this.settle();
  }

  private async stand(standing: Standing): Promise<void> {
    while (!standing.stop.signal.aborted) await standing.alarm.wait(await this.step(standing));
  }

  /** Brings the agent up to date; gives how long that will do, in milliseconds. */
  private async step(standing: Standing): Promise<number> {
    const limits = { timeout: this.timings.timeout, signal: standing.stop.signal };
    const { registration } = standing;
    try {
      if (!standing.known) {
        await this.client.register(agentService(registration, this.isNative), limits);
        // register() may have been called again meanwhile.
        standing.known = standing.registration === registration;
        if (!standing.published) this.tell(registration, "registered in consul");
        standing.published = true;
      }
      const { serving, note } = this.health;
      await this.client.updateCheck(
        registration.id,
        { Status: serving ? "passing" : "critical", Output: note },
        limits,
      );
      // Not before: whoever waits for it takes away what was published elsewhere.
      if (standing.known) this.settle();
      for (const id of standing.formerIds) {
        // register() was called meanwhile: what is to take its place is not there yet.
        if (!standing.known) break;
        await this.client.deregister(id, limits).catch(ignoreForgotten);
        standing.formerIds.delete(id);
      }
    } catch (error) {
      if (standing.stop.signal.aborted) return 0;
      return this.failed(standing, error);
    }
    if (this.troubled) this.tell(registration, "consul takes the registration and its health again");
    this.troubled = false;
    this.backoff.reset();
    return standing.known ? this.timings.beat * (0.8 + 0.4 * this.services.random()) : 0;
  }

  private failed(standing: Standing, error: unknown): number {
    const { registration } = standing;
    if (error instanceof ConsulError && error.isForgotten && standing.known) {
      standing.known = false;
      this.tell(registration, "the agent has forgotten the service, which is registered again");
      return this.backoff.next();
    }
    if (!this.troubled) {
      const text = "consul does not take the registration or its health, which is tried again";
      this.services.log.warn({ id: registration.id, error: messageOf(error) }, text);
    }
    this.troubled = true;
    return this.backoff.next();
  }

  /** Tries a few times within a bounded time; the agent drops a critical service by itself later. */
  private async withdraw(id: string): Promise<void> {
    let failure: unknown;
    for (let left = DEREGISTER_TRIES; left > 0; left--) {
      try {
        await this.client.deregister(id, { timeout: this.timings.deregisterTimeout }).catch(ignoreForgotten);
        this.services.log.info({ id }, `deregistered ${id} from consul`);
        return;
      } catch (error) {
        failure = error;
      }
      if (left > 1) await new Alarm(this.services.clock).wait(this.services.random() * this.timings.backoffBase);
    }
    this.services.log.warn({ id, error: messageOf(failure) }, `cannot deregister ${id}, its check will expire`);
  }

  private tell(registration: Registration, text: string): void {
    this.services.log.info({ id: registration.id, address: this.client.host }, text);
  }

  private settle(): void {
    for (const resolve of this.waiters.splice(0)) resolve();
  }
}

/** The body of the registration. A TTL check is critical until it is passed for the first time. */
function agentService(registration: Registration, isNative: boolean): AgentService {
  const { id, name, host, port, tags, meta, weight } = registration;
  return {
    ID: id,
    Name: name,
    Address: host,
    Port: port,
    Tags: tags,
    Meta: meta,
    Weights: { Passing: weight, Warning: 1 },
    Check: { TTL: "15s", DeregisterCriticalServiceAfter: "1m" },
    ...(isNative ? { Connect: { Native: true } } : {}),
  };
}

function ignoreForgotten(error: unknown): void {
  if (!(error instanceof ConsulError && error.isForgotten)) throw error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

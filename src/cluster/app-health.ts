import type { Logger } from "pino";
import type { Address } from "../core/address.ts";
import type { Timer } from "../core/clock.ts";
import { Watch } from "../core/watch.ts";
import type { Http2Services } from "../http2/connection.ts";
import { dial } from "../net/connector.ts";
import { checkHealth, type HealthAnswer } from "./grpc-health.ts";
import { fetchHttp1 } from "./health/check.ts";
import type { Pool } from "./pool/pool.ts";

/** How the application is asked. */
export type HealthCheck =
  /** By grpc.health.v1, over the connections that calls use. */
  | { readonly kind: "grpc"; readonly pool: Pool }
  /** Whether its port takes connections. */
  | { readonly kind: "tcp"; readonly address: Address }
  /** By GET in HTTP/1.1: 2xx is serving. */
  | { readonly kind: "http"; readonly address: Address; readonly path: string }
  /** Not at all: it counts as serving. */
  | { readonly kind: "none" };

/** What the application says of itself. */
export interface Health {
  readonly serving: boolean;
  /** Why, for people. */
  readonly note: string;
}

/** What asking the application needs. */
export interface AppHealthServices extends Http2Services {
  readonly log: Logger;
}

/** Milliseconds between two questions. */
const INTERVAL = 5000;
/** The same until the application has served for the first time: it is being started, and somebody waits for it. */
const STARTING = 250;
/** Milliseconds for an answer. */
const TIMEOUT = 3000;

/**
 * Asks the application beside this sidecar how it is, from the first moment until `close`.
 *
 * Invariant: one question of its own is under way, or the timer for the next one is armed; not both, and neither once closed.
 */
export class AppHealth {
  readonly state: Watch<Health>;
  private readonly check: HealthCheck;
  private readonly services: AppHealthServices;
  /** Whether there is anything to say of it: `state` is its own answer, or that it gave none in time. */
  answered: boolean;
  private served = false;
  private closed = false;
  private timer: Timer | undefined = undefined;

  constructor(check: HealthCheck, services: AppHealthServices) {
    this.check = check;
    this.services = services;
    const none = check.kind === "none";
    this.answered = none;
    this.state = new Watch<Health>({ serving: none, note: none ? "not asked" : "has not answered yet" });
    if (!none) void this.run();
  }

  /** Asks now, for one service of the application or, with "", for the whole. Never rejects. */
  async ask(service: string): Promise<HealthAnswer> {
    const { check } = this;
    if (check.kind === "grpc") return await checkHealth(check.pool, service, TIMEOUT, this.services);
    // Only the application knows its services by name.
    if (service !== "") return "SERVICE_UNKNOWN";
    if (check.kind === "none") return "SERVING";
    if (check.kind === "tcp") return await this.knock(check.address);
    const fault = await fetchHttp1(check.address, check.path, TIMEOUT, this.services);
    return fault === undefined ? "SERVING" : { error: fault };
  }

  /** Stops asking. Idempotent. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
  }

  private async run(): Promise<void> {
    const health = describe(await this.ask(""));
    if (this.closed) return;
    this.answered = true;
    this.served ||= health.serving;
    const { serving, note } = this.state.current;
    if (health.serving !== serving) {
      const { log } = this.services;
      if (health.serving) log.info("the application is serving");
      else log.warn({ note: health.note }, "the application is not serving");
    }
    if (health.serving !== serving || health.note !== note) this.state.set(health);
    this.timer = this.services.clock.setTimer(this.served ? INTERVAL : STARTING, () => void this.run());
  }

  private knock(address: Address): Promise<HealthAnswer> {
    return new Promise((resolve) => {
      dial(
        address,
        { clock: this.services.clock, timeout: TIMEOUT },
        {
          receive() {},
          done(result) {
            if (result.kind === "connected") result.socket.on("error", () => {}).destroy();
            resolve(result.kind === "connected" ? "SERVING" : { error: result.message });
          },
        },
      );
    });
  }
}

function describe(answer: HealthAnswer): Health {
  if (typeof answer !== "string") return { serving: false, note: answer.error };
  switch (answer) {
    case "SERVING":
      return { serving: true, note: "SERVING" };
    case "NOT_SERVING":
      return { serving: false, note: "NOT_SERVING" };
    case "SERVICE_UNKNOWN":
      return { serving: false, note: 'the application does not know the health of "", the server as a whole' };
    case "UNIMPLEMENTED":
      return {
        serving: false,
        note: "the application does not implement grpc.health.v1.Health: let it, or set service.health to tcp or none",
      };
  }
}

import type { Address } from "../core/address.ts";
import { Watch } from "../core/watch.ts";
import type { Http2Services } from "../http2/connection.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import type { HealthAnswer } from "./grpc-health.ts";

/** How the application is asked. */
export type HealthCheck =
  /** By grpc.health.v1, over the connections that calls use. */
  | { readonly kind: "grpc"; readonly pool: ConnectionPool }
  /** Whether its port takes connections. */
  | { readonly kind: "tcp"; readonly address: Address }
  /** Not at all: it counts as serving. */
  | { readonly kind: "none" };

export interface Health {
  readonly serving: boolean;
  /** Why, for people. */
  readonly note: string;
}

/** Asks the application beside this sidecar how it is, for as long as it is not closed. */
export class AppHealth {
  readonly state: Watch<Health>;

  constructor(check: HealthCheck, services: Http2Services) {
    this.state = new Watch<Health>({
      serving: check.kind === "none",
      note: `not written yet: ${services.clock.now()}`,
    });
  }

  /** Asks now, for one service of the application or, with "", for the whole. */
  ask(service: string): Promise<HealthAnswer> {
    return Promise.reject(new Error(`not written yet: ${service}`));
  }

  /** Stops asking. Idempotent. */
  close(): void {}
}

import type { Http2Services } from "../http2/connection.ts";
import type { ConnectionPool } from "./connection-pool.ts";

/** What an application says of its health; `error` where it said nothing that can be understood. */
export type HealthAnswer = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN" | "UNIMPLEMENTED" | { readonly error: string };

/** Asks by `grpc.health.v1.Health/Check`. "" stands for the server as a whole. Never rejects. */
export function checkHealth(
  pool: ConnectionPool,
  service: string,
  timeout: number,
  services: Http2Services,
): Promise<HealthAnswer> {
  return Promise.reject(new Error(`not written yet: ${pool.size} ${service} ${timeout} ${services.clock.now()}`));
}

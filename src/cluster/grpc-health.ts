import { version } from "../core/version.ts";
import { formatTimeout, isGrpc, parseStatus } from "../http/grpc.ts";
import { Status, statusName } from "../http/reason.ts";
import type { Http2Services } from "../http2/connection.ts";
import { decodeResponse, encodeRequest, MAX_SERVICE_NAME } from "./health-message.ts";
import { askPool, type Question } from "./pool/ask-pool.ts";
import type { Pool } from "./pool/pool.ts";

/** What an application says of its health; `error` where it said nothing that can be understood. */
export type HealthAnswer = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN" | "UNIMPLEMENTED" | { readonly error: string };

/**
 * Asks by `grpc.health.v1.Health/Check`, as a gRPC client over one of the pool's connections. "" stands for the server as a
 * whole. `timeout` in milliseconds, connecting included. Never rejects.
 */
export function checkHealth(
  pool: Pool,
  service: string,
  timeout: number,
  services: Http2Services,
): Promise<HealthAnswer> {
  if (Buffer.byteLength(service) > MAX_SERVICE_NAME) return Promise.resolve("SERVICE_UNKNOWN");
  const fields = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/grpc.health.v1.Health/Check"],
    [":authority", "localhost"],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ["user-agent", `outrigger/${version}`],
    ["grpc-timeout", formatTimeout(timeout)],
  ] as const;
  const question: Question<HealthAnswer> = {
    fields,
    body: encodeRequest(service),
    onHead(head) {
      const status = head.get(":status") ?? "";
      if (status === "200" && isGrpc(head.get("content-type"))) return undefined;
      const type = head.get("content-type") ?? "no content-type";
      return { error: `a health check was answered with HTTP ${status} and ${type}: no gRPC server` };
    },
    onEnd(octets, last) {
      const text = last.get("grpc-status");
      if (text === undefined) return { error: "the answer to a health check has no grpc-status" };
      const status = parseStatus(text);
      if (status === Status.OK) return decodeResponse(octets) ?? { error: "the answer to a health check is malformed" };
      if (status === Status.NOT_FOUND) return "SERVICE_UNKNOWN";
      if (status === Status.UNIMPLEMENTED) return "UNIMPLEMENTED";
      return { error: `a health check failed with ${statusName(status)}: ${last.get("grpc-message") ?? ""}` };
    },
    onFailure: (error) => ({ error }),
  };
  return askPool(pool, question, timeout, services);
}

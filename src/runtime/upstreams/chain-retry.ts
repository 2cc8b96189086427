import type { RetryConfig } from "../../config/types.ts";
import type { ChainRetry } from "../../discovery/consul/chain/chain.ts";
import type { StatusWord } from "../../http/status-words.ts";

/** Envoy's words for what a call may be made again after, as what a caller of gRPC sees of it. */
const WORDS: Readonly<Record<string, readonly StatusWord[]>> = {
  cancelled: ["cancelled"],
  "deadline-exceeded": ["deadlineExceeded"],
  internal: ["internal"],
  "resource-exhausted": ["resourceExhausted"],
  unavailable: ["unavailable"],
  // Answers of something that is no server of gRPC, and connections that are lost.
  "5xx": ["unavailable"],
  "gateway-error": ["unavailable"],
  reset: ["unavailable"],
  // What was provably not processed is made again anyhow.
  "reset-before-request": [],
  "connect-failure": [],
  "refused-stream": [],
};

/** An HTTP status as a status of gRPC: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const HTTP: Readonly<Record<number, StatusWord>> = {
  400: "internal",
  401: "unauthenticated",
  403: "permissionDenied",
  404: "unimplemented",
  429: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

/** Retries of an upstream under what Consul says of a route: which methods may be made again is the upstream's own word. */
export function chainRetry(own: RetryConfig, { retries, on, statuses }: ChainRetry): RetryConfig {
  const words = [...on.flatMap((word) => WORDS[word] ?? []), ...statuses.map((status) => HTTP[status] ?? "unknown")];
  return { ...own, attempts: retries + 1, statuses: [...new Set(words)] };
}

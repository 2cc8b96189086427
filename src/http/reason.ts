/** gRPC status codes by name. */
export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

const statusNames: readonly string[] = Object.keys(Status);

/** The name of a gRPC status code; `UNKNOWN` for a number that is none. */
export function statusName(code: number): string {
  return statusNames[code] ?? "UNKNOWN";
}

/** Whether a call that ended for a reason may be made again: see the status table. */
export type RetryClass = "safe" | "safeOnce" | "later" | "unknown" | "never" | "perStatus";

interface ReasonFacts {
  readonly status: number;
  readonly retry: RetryClass;
  /** What a stranger reads: one fixed sentence without names, limits or addresses. */
  readonly text: string;
  /** The status of HTTP, where that is another one than its gRPC status has. */
  readonly http?: number;
}

/**
 * Why the proxy itself ended a call: one closed set, the same word in trailer, log and metric. `docs/reasons.md` says more
 * of each, and a test holds the two together.
 */
export const reasons = {
  NO_ENDPOINTS: { status: 14, retry: "safe", text: "the service has no instance" },
  ALL_EJECTED: { status: 14, retry: "safe", text: "every instance is out for its failures" },
  NO_MATCHING_SUBSET: { status: 14, retry: "safe", text: "no instance has what the call asks for" },
  CONNECT_REFUSED: { status: 14, retry: "safe", text: "the connection was refused" },
  CONNECT_TIMEOUT: { status: 14, retry: "safe", text: "the connection was not made in time" },
  CONNECT_FAILED: { status: 14, retry: "safe", text: "the connection could not be made" },
  TLS_HANDSHAKE_FAILED: { status: 14, retry: "safe", text: "the TLS handshake failed" },
  TLS_UNTRUSTED: { status: 14, retry: "safe", text: "the certificate of the service is not trusted" },
  TLS_EXPIRED: { status: 14, retry: "safe", text: "the certificate of the service is not valid now" },
  TLS_WRONG_IDENTITY: { status: 14, retry: "safe", text: "the certificate is another service's" },
  TLS_REFUSED: { status: 14, retry: "safe", text: "the service does not take the sidecar's certificate" },
  TLS_NO_IDENTITY: { status: 14, retry: "safe", text: "the sidecar has no valid certificate" },
  DOWNGRADE_REFUSED: { status: 14, retry: "safe", text: "the service was reached by TLS before and is not without it" },
  REFUSED: { status: 14, retry: "safeOnce", text: "the stream was refused before it was processed" },
  GOAWAY_UNPROCESSED: { status: 14, retry: "safeOnce", text: "the connection went away before the call was processed" },
  UPSTREAM_LOST: { status: 14, retry: "unknown", text: "the connection was lost during the call" },
  RST_STREAM: { status: 13, retry: "unknown", text: "the stream was reset" },
  DEADLINE_CLIENT: { status: 4, retry: "never", text: "the caller's deadline has passed" },
  DEADLINE_POLICY: { status: 4, retry: "never", text: "the configured timeout has passed" },
  IDLE_TIMEOUT: { status: 14, retry: "unknown", text: "nothing of the call has moved for too long" },
  REBALANCE: { status: 14, retry: "unknown", text: "the stream has been open for long and may be opened again" },
  DEADLINE_HOPELESS: { status: 4, retry: "never", text: "the call cannot be answered before its deadline" },
  FAULT_INJECTED: { status: 14, retry: "perStatus", text: "a fault was injected on purpose" },
  AUTHZ_DENIED: { status: 7, retry: "never", text: "the caller may not make this call" },
  AUTHZ_REFUSED: { status: 7, retry: "never", text: "the authorization service does not let the call in" },
  AUTHZ_UNAVAILABLE: { status: 7, retry: "later", text: "the authorization service does not answer" },
  NO_IDENTITY: { status: 16, retry: "never", text: "the call needs a caller who proves who it is" },
  JWT_MISSING: { status: 16, retry: "never", text: "the call needs a token" },
  JWT_INVALID: { status: 16, retry: "never", text: "the call's token is not taken" },
  JWT_EXPIRED: { status: 16, retry: "never", text: "the call's token has expired" },
  JWT_KEYS_UNAVAILABLE: { status: 14, retry: "safe", text: "tokens cannot be verified now" },
  AUTHZ_UNKNOWN: { status: 14, retry: "safe", text: "who may make this call is not known yet" },
  RATE_LIMIT: { status: 8, retry: "later", text: "too many calls have come" },
  TRY_TIMEOUT: { status: 14, retry: "unknown", text: "no attempt was answered in time" },
  CIRCUIT_OPEN: { status: 14, retry: "safe", text: "the circuit breaker is open" },
  ADMISSION: { status: 14, retry: "later", text: "the service has not taken too many of the last calls" },
  CONCURRENCY: { status: 8, retry: "later", text: "too many calls are under way" },
  OVERLOAD: { status: 8, http: 503, retry: "later", text: "the sidecar has too little left to take the call" },
  QUEUE_FULL: { status: 14, retry: "safe", text: "too many calls are waiting" },
  NO_ROUTE: { status: 12, retry: "never", text: "no upstream has that name" },
  LOOKUP_LIMIT: { status: 8, retry: "later", text: "too many names are being looked up" },
  BAD_AUTHORITY: { status: 3, retry: "never", text: "the authority is missing or malformed" },
  NOT_GRPC: { status: 2, retry: "perStatus", text: "the answer was not gRPC" },
  PROTOCOL: { status: 13, retry: "unknown", text: "the answer broke the protocol" },
  CONNECT_UNSUPPORTED: {
    status: 12,
    http: 501,
    retry: "never",
    text: "no connection of that kind is taken",
  },
  HEADERS_TOO_LARGE: { status: 8, retry: "never", text: "the header list is too large" },
  DRAINING: { status: 14, retry: "safe", text: "the sidecar is shutting down" },
  LOOP: { status: 13, retry: "never", text: "the call goes round in a circle" },
  INTERNAL: { status: 13, retry: "safe", text: "the sidecar has a fault" },
} as const satisfies Record<string, ReasonFacts>;

/** Why a call failed here; the keys of `reasons`, and of docs/reasons.md. */
export type Reason = keyof typeof reasons;

/** The status of HTTP that a reason asks for; undefined: that of its gRPC status. */
export function httpOfReason(reason: Reason): number | undefined {
  const facts: ReasonFacts = reasons[reason];
  return facts.http;
}

/** Who made the answer that the caller got: the application, this proxy, or another sidecar on the way. */
export type Origin = "app" | "proxy" | "peer";

/** `inbound`: a call of others for the application; `outbound`: one of the application itself. */
export type Direction = "inbound" | "outbound";

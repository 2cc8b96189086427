/** Why a request to Consul has no good answer. The message names the address and the likely reason. */
export class ConsulError extends Error {
  override readonly name = "ConsulError";
  /** The HTTP status; undefined where there was no complete answer, or one that is not Consul's. */
  readonly status: number | undefined;
  /** The text of an answer that is an error. */
  readonly detail: string;
  /** The query was given up for the token or the TLS files of the client have changed. */
  readonly isRenewal: boolean;

  constructor(
    message: string,
    options: { status?: number; detail?: string; cause?: unknown; isRenewal?: boolean } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = options.status;
    this.detail = options.detail ?? "";
    this.isRenewal = options.isRenewal ?? false;
  }

  /** The agent has too many connections or requests from here: it says so, or closes the connection before it can. */
  get isOverload(): boolean {
    const { cause, status } = this;
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    return status === 429 || code === "ECONNRESET" || code === "EPIPE";
  }

  /** The agent refuses who asks, not what is asked. */
  get isRefusedToken(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /**
   * The agent does not know a service or a check (any more). 404 since Consul 1.11, 500 before; the text is looked at,
   * for a 404 may also come from something in between.
   */
  get isForgotten(): boolean {
    return (
      (this.status === 404 || this.status === 500) &&
      /unknown (check|service)|does not have associated ttl/i.test(this.detail)
    );
  }
}

const CODES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses connections, is the agent running?",
  ECONNRESET: "closed the connection",
  EPIPE: "closed the connection",
  ENOTFOUND: "has a host name that does not exist",
  EAI_AGAIN: "has a host name that cannot be resolved now",
  EHOSTUNREACH: "cannot be reached from here",
  ENETUNREACH: "cannot be reached from here",
  ETIMEDOUT: "does not take the connection",
};

/** The error of a request that got no complete answer. */
export function connectionError(address: string, cause: unknown): ConsulError {
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const reason = CODES[code] ?? `cannot be asked: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new ConsulError(`consul at ${address} ${reason}`, { cause });
}

/** The error of an answer whose status is not 2xx. */
export function statusError(address: string, status: number, text: string): ConsulError {
  const detail = text.trim().slice(0, 300);
  const told = detail === "" ? `${status}` : `${status}: ${detail}`;
  let message: string;
  if (status === 401 || status === 403) message = `refuses the token or lacks a permission for it (${told})`;
  else if (status === 429) message = `has too many connections or requests from here (${told})`;
  else if (/no cluster leader/i.test(detail)) message = `has no cluster leader (${told})`;
  else message = `answers ${told}`;
  return new ConsulError(`consul at ${address} ${message}`, { status, detail });
}

import { type Address, formatAddress } from "../core/address.ts";

/** Why there is no connection. `message` names the address and the likely cause, for logs and for people. */
export interface ConnectFailure {
  readonly kind: "failed";
  readonly reason:
    | "CONNECT_REFUSED"
    | "CONNECT_TIMEOUT"
    | "CONNECT_FAILED"
    | "TLS_HANDSHAKE_FAILED"
    | "TLS_UNTRUSTED"
    | "TLS_EXPIRED"
    | "TLS_WRONG_IDENTITY"
    | "TLS_REFUSED"
    | "TLS_NO_IDENTITY"
    | "DOWNGRADE_REFUSED";
  readonly message: string;
}

/** The failure of a connection that did not stand within so many milliseconds. */
export function connectTimeout(address: Address, milliseconds: number): ConnectFailure {
  const cause =
    address.kind === "unix"
      ? "maybe its process is stopped"
      : "maybe the machine is gone or a firewall or network policy drops the packets";
  return {
    kind: "failed",
    reason: "CONNECT_TIMEOUT",
    message: `no connection to ${formatAddress(address)} within ${milliseconds} ms: ${cause}`,
  };
}

/** What an error of a socket that was connecting means. */
export function connectFailure(address: Address, error: Error, milliseconds: number): ConnectFailure {
  const code = codeOf(error);
  if (code === "ETIMEDOUT") return connectTimeout(address, milliseconds);
  const refused = code === "ECONNREFUSED" || (code === "ENOENT" && address.kind === "unix");
  const cause = likelyCause(address, code) ?? error.message;
  return {
    kind: "failed",
    reason: refused ? "CONNECT_REFUSED" : "CONNECT_FAILED",
    message: `cannot connect to ${formatAddress(address)}: ${cause}`,
  };
}

/** The code of a system error. A name with several addresses fails with one error for each: the last one speaks for all. */
function codeOf(error: Error): string {
  const one: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  return one instanceof Error && "code" in one && typeof one.code === "string" ? one.code : "";
}

function likelyCause(address: Address, code: string): string | undefined {
  switch (code) {
    case "ECONNREFUSED":
      return address.kind === "unix"
        ? "nobody listens on the socket any more"
        : "connection refused, nothing listens there";
    case "ENOENT":
      return "there is no such socket, maybe its process has not started";
    case "EACCES":
    case "EPERM":
      return address.kind === "unix" ? "this user may not write to the socket" : "a local firewall rule forbids it";
    case "ENOTFOUND":
      return "the name does not resolve to an address";
    case "EAI_AGAIN":
      return "the name could not be resolved, maybe the DNS server is away";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no route to it, maybe its network is down or another one";
    case "ECONNRESET":
      return "the connection was reset while it was made";
    case "EADDRNOTAVAIL":
      return "no local port is free for it, or the machine has no address of its family";
    case "EMFILE":
    case "ENFILE":
      return "too many open files: raise the limit (ulimit -n)";
    case "EAGAIN":
      return "the socket's queue of connections is full";
    default:
      return undefined;
  }
}

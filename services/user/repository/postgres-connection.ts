import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import postgres from "postgres";
import { StoreError } from "./store-error.ts";

/** Statements on one connection. `int8` comes as bigint. */
export type Sql = postgres.Sql<{ bigint: bigint }>;
/** Statements in one transaction. */
export type Transaction = postgres.TransactionSql<{ bigint: bigint }>;

const CONNECT_TIMEOUT_S = 5;
/** A replica whose machine is gone in the middle of a transaction must not keep the others from writing. */
const IDLE_IN_TRANSACTION_MS = 10_000;
/** How long a statement waits for another one's lock, in ms, if the call's own deadline is not sooner. */
const LOCK_MS = 5_000;

/** What the owner of a connection is told. */
export interface ClientEvents {
  /** The connection is lost or closed. */
  readonly onClose?: () => void;
  /** Somebody told something on a channel that this connection listens to. */
  readonly onNotify?: () => void;
}

/**
 * A client of exactly one connection, made at the first statement. When that is lost all further statements reject: a client
 * that connected again by itself would go on with a transaction outside of it.
 */
export function openClient(url: string, { onClose = () => {}, onNotify = () => {} }: ClientEvents = {}): Sql {
  const connection = new OneConnection();
  const options = {
    max: 1,
    types: { bigint: postgres.BigInt },
    socket: (target: Target) => connection.open(target),
    // Left to itself, a client that connects to an IP address takes any certificate of "localhost".
    ...(/[?&]ssl(mode)?=verify/.test(url) ? { ssl: { checkServerIdentity: connection.check } } : {}),
    connect_timeout: CONNECT_TIMEOUT_S,
    max_lifetime: null,
    // To learn the types of arrays, which no statement here has, it would ask before the first statement, and a connection that is
    // lost meanwhile would end the process: nobody takes that query's failure.
    fetch_types: false,
    onnotice: () => {},
    onclose: onClose,
    // Not in the package's types, which know it only as the argument of `listen`; that makes a connection of its own.
    onnotify: onNotify,
    connection: {
      application_name: "user-service",
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      lock_timeout: LOCK_MS,
    },
  };
  return postgres(url, options);
}

/** Where a client is told to connect: several hosts are tried in their order. */
interface Target {
  readonly host: readonly string[];
  readonly port: readonly number[];
  /** Of a socket of this machine, or false. */
  readonly path: string | false;
}

/** A connection that can be made once. */
class OneConnection {
  #host: string | undefined;

  async open({ host, port, path }: Target): Promise<Socket> {
    if (this.#host !== undefined) throw new StoreError("unavailable", "the connection to the store was lost");
    this.#host = "";
    if (path !== false) return await connected(connect(path));
    let failed: unknown;
    for (const [at, name] of host.entries()) {
      try {
        this.#host = name;
        // For the client, which sends the name ahead in TLS.
        return Object.assign(await connected(connect(port[at] ?? 5432, name)), { host: name });
      } catch (error) {
        failed = error;
      }
    }
    throw failed;
  }

  /** Whether a certificate is one of the host that was connected to. */
  readonly check = (_: string, certificate: PeerCertificate): Error | undefined =>
    checkServerIdentity(this.#host ?? "", certificate);
}

async function connected(socket: Socket): Promise<Socket> {
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(CONNECT_TIMEOUT_S * 1_000) });
    return socket;
  } catch (error) {
    socket.destroy();
    if (error instanceof Error && error.name !== "AbortError") throw error;
    throw new StoreError("unavailable", `no connection to the store within ${CONNECT_TIMEOUT_S} s`, { cause: error });
  }
}

/** The database in a connection string, which may name several hosts, without the password. */
export function nameOf(url: string): string {
  return url.replace(/^(\w+:\/\/[^:@/]*):[^@]*@/, "$1@").replace(/\?.*$/, "");
}

/** What the server or the driver says when the server cannot be reached, is starting, ending, or no longer takes writes. */
const UNAVAILABLE =
  /^(08...|57P0[1-5]|25006|25P03|CONNECTION_\w+|CONNECT_TIMEOUT|ECONN\w+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_\w+|E(HOST|NET)\w+|ENOENT|EACCES)$/;
/** lock_not_available, too_many_connections */
const BUSY = /^(55P03|53300)$/;

/** The error of a statement, as a `StoreError` where it is one. */
export function storeErrorOf(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof StoreError) return error;
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (UNAVAILABLE.test(code)) return new StoreError("unavailable", "the store cannot be reached", { cause: error });
  if (BUSY.test(code)) return new StoreError("busy", "the store is busy", { cause: error });
  return error;
}

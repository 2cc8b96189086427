import { type Address, formatAddress } from "../../core/address.ts";
import type { CloseCause } from "../../http2/close-cause.ts";
import type { Connection } from "../../http2/connection.ts";
import type { ConnectionHandler } from "../../http2/connection-handler.ts";
import { ErrorCode } from "../../http2/errors.ts";
import type { Stream } from "../../http2/stream.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import type { ConnectionLife } from "../../net/connection-life.ts";
import type { Connect, Connecting, Meta, SecurePeer } from "./connect.ts";
import type { Watched } from "./keepalive.ts";

/** How far a connection of a pool has come. */
export type MemberState =
  | { readonly kind: "dialling"; readonly cancel: () => void }
  /** The transport stands; whether HTTP/2 is spoken there is not known before the peer's SETTINGS. */
  | { readonly kind: "new"; readonly connection: Connection }
  | { readonly kind: "open"; readonly connection: Connection }
  /** No more streams; ends with its last one. */
  | { readonly kind: "draining"; readonly connection: Connection }
  | { readonly kind: "gone" };

/** What a member tells its pool. `state` has changed before. */
export interface PoolMemberHost {
  /** "new": there is a transport. */
  connected(member: PoolMember, connection: Connection): void;
  /** "open": the peer's SETTINGS came. */
  proven(member: PoolMember, connection: Connection): void;
  /** An open connection may have room again. */
  capacity(): void;
  /** "draining": the peer takes no more streams, and says why. */
  retired(member: PoolMember, connection: Connection, code: ErrorCode, debug: string): void;
  /** "gone" before it was open. */
  failed(member: PoolMember, failure: ConnectFailure): void;
  /** "gone" after it was open. */
  ended(member: PoolMember, connection: Connection, cause: CloseCause): void;
  /** A fault of our own. */
  fault(error: unknown): void;
}

/** One connection of a pool, from the dial to its end. `state` changes here only. */
export class PoolMember implements ConnectionHandler, Connecting, Watched {
  private readonly address: Address;
  private readonly pool: PoolMemberHost;
  state: MemberState = { kind: "gone" };
  /** Milliseconds of the clock when the dial began. */
  readonly since: number;
  askedAt: number | undefined = undefined;
  /** Looks in a row that found no stream on it: see the pool's sweep. */
  idleLooks = 0;
  /** Once it is open, where it is not used for ever. */
  life: ConnectionLife | undefined = undefined;
  /** Why another one is to take its place; undefined: none is. */
  expired: string | undefined = undefined;
  private peer: SecurePeer | undefined = undefined;

  /** `meta`: what discovery says of the endpoint. */
  constructor(address: Address, connect: Connect, pool: PoolMemberHost, now: number, meta: Meta) {
    this.address = address;
    this.pool = pool;
    this.since = now;
    this.state = { kind: "dialling", cancel: connect(address, this, this, meta) };
  }

  /** Who is at the other end, as TLS has verified it; undefined in plaintext. */
  get identity(): string | undefined {
    return this.peer?.identity;
  }

  get connection(): Connection | undefined {
    return "connection" in this.state ? this.state.connection : undefined;
  }

  /** Takes no more streams, and ends with its last one; a dial is given up. */
  retire(reason: string): void {
    const { state } = this;
    if (state.kind === "dialling") {
      this.state = { kind: "gone" };
      state.cancel();
    } else if (state.kind === "new" || state.kind === "open") {
      this.state = { kind: "draining", connection: state.connection };
      state.connection.shutdown(reason);
    }
  }

  /** Ends now. */
  end(reason: string): void {
    const { connection } = this;
    this.retire(reason);
    connection?.close(reason);
  }

  // --- what the dial tells ---

  onConnected(connection: Connection, peer?: SecurePeer): void {
    this.peer = peer;
    this.state = { kind: "new", connection };
    this.pool.connected(this, connection);
  }

  onFailed(failure: ConnectFailure): void {
    this.state = { kind: "gone" };
    this.pool.failed(this, failure);
  }

  // --- what the connection tells ---

  onStream(stream: Stream): void {
    stream.reset(ErrorCode.REFUSED_STREAM);
  }

  onCapacity(): void {
    const { state } = this;
    if (state.kind === "open") {
      this.life?.reach(state.connection.opened);
      this.pool.capacity();
    } else if (state.kind === "new" && state.connection.bytesReceived > 0) {
      // The engine takes nothing before SETTINGS (RFC 9113 §3.4), so whoever was heard has sent them.
      this.state = { kind: "open", connection: state.connection };
      this.pool.proven(this, state.connection);
    }
  }

  onGoaway(code: ErrorCode, debug: string): void {
    const { state } = this;
    if (state.kind !== "open" && state.kind !== "new") return;
    this.state = { kind: "draining", connection: state.connection };
    this.pool.retired(this, state.connection, code, debug);
  }

  onClose(cause: CloseCause): void {
    const { state } = this;
    this.state = { kind: "gone" };
    if (state.kind === "new") this.pool.failed(this, this.unspoken(cause));
    else if (state.kind === "open" || state.kind === "draining") this.pool.ended(this, state.connection, cause);
  }

  onFault(error: unknown): void {
    this.pool.fault(error);
  }

  private unspoken(cause: CloseCause): ConnectFailure {
    const why = cause.reason === "" ? cause.kind : cause.reason;
    if (this.peer !== undefined) return this.peer.explain(why);
    return {
      kind: "failed",
      reason: "CONNECT_FAILED",
      message:
        `${formatAddress(this.address)} took the connection and ended it before HTTP/2 began (${why}): ` +
        "maybe it speaks another protocol, expects TLS, or is a proxy with nothing behind it",
    };
  }
}

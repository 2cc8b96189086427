import type { Watched } from "../cluster/pool/keepalive.ts";
import type { Address } from "../core/address.ts";
import type { Placed } from "../core/roster.ts";
import type { CallerShare } from "../http/callers.ts";
import type { Connection } from "../http2/connection.ts";
import type { ConnectionLife } from "../net/connection-life.ts";

/** Who is at the other end of a connection, as TLS has verified it. */
export interface Caller {
  /** Its SPIFFE id. */
  readonly identity: string;
  /** `x-forwarded-client-cert` of its calls. */
  readonly certificate: string;
  /** The name that it asked for (SNI), where it did. */
  readonly serverName?: string | undefined;
}

/** A caller's connection as people see it. */
export interface AcceptedConnection extends Placed, Watched {
  readonly peer: string;
  /** What it has to share with others. */
  readonly share: CallerShare;
  /** Undefined in plaintext. */
  readonly caller: Caller | undefined;
  /** Where it was going before it was redirected to us. */
  readonly destination: Address | undefined;
  /** The address of this machine that it came to, for those who tell somebody of calls of others. */
  readonly local: Address | undefined;
  readonly connection: Connection;
  /** Wall-clock milliseconds. */
  readonly since: number;
  readonly life: ConnectionLife;
}

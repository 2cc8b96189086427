import type { WorkloadCertificate } from "./certificate.ts";

/** A TLS session that may be resumed, and whose certificate was verified when it was made. */
export interface ResumableSession {
  readonly session: Buffer;
  readonly peer: WorkloadCertificate;
}

/** Endpoints whose last session is kept. */
const MAX_SESSIONS = 1024;

/**
 * Sessions with endpoints, by address. A resumed session has no certificate for Node's client, so whose it is is remembered
 * from the handshake that made it.
 */
export class SessionCache {
  private readonly sessions = new Map<string, ResumableSession>();

  /** The session with an address, unless its peer's certificate has expired. */
  get(address: string, now: number): ResumableSession | undefined {
    const found = this.sessions.get(address);
    if (found === undefined || now < found.peer.notAfter) return found;
    this.sessions.delete(address);
    return undefined;
  }

  set(address: string, session: ResumableSession): void {
    this.sessions.delete(address);
    const [oldest] = this.sessions.keys();
    if (this.sessions.size >= MAX_SESSIONS && oldest !== undefined) this.sessions.delete(oldest);
    this.sessions.set(address, session);
  }

  /** The session did not lead to a connection. */
  forget(address: string): void {
    this.sessions.delete(address);
  }

  get size(): number {
    return this.sessions.size;
  }
}

import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { type Address, formatAddress } from "../../core/address.ts";
import { later } from "../../core/later.ts";
import type { Http2Services } from "../../http2/connection.ts";
import type { WorkloadCertificate } from "../../identity/certificate.ts";
import type { Credentials } from "../../identity/credentials.ts";
import type { IdPattern } from "../../identity/spiffe.ts";
import { chainOf } from "../../identity/tls-chain.ts";
import { codeOf, type HandshakeResult, handshakeFailure, plainText } from "../../identity/tls-failure.ts";
import { isBetweenSidecars, offers, type SocketProtocol } from "../../net/alpn.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import {
  type Connect,
  type ConnectOptions,
  connectOver,
  type Meta,
  type SecureAttempt,
  type SecurePeer,
} from "./connect.ts";
import { type OpenSocket, openSocket } from "./open-socket.ts";

/** How an upstream is dialled: in plaintext, by TLS where its endpoints say that they take it, or by TLS only. */
export type UpstreamMode = "disabled" | "permissive" | "strict";

/** How the endpoints of one upstream are dialled with TLS. */
export interface UpstreamTlsOptions {
  readonly name: string;
  /** Each asked when a dial begins. */
  readonly mode: () => UpstreamMode;
  readonly credentials: () => Credentials | undefined;
  /** Whom its endpoints have to be, as a certificate of ours sees it. */
  readonly expected: (own: WorkloadCertificate) => IdPattern;
  /** What discovery says of all of its endpoints. */
  readonly endpoints: () => Iterable<{ readonly meta: Meta }>;
  readonly counted: (result: HandshakeResult) => void;
}

/** Addresses that are remembered to have been reached by TLS. */
const MAX_REACHED = 4096;

/**
 * Dials the endpoints of one upstream by TLS or in plaintext, which is decided before the dial.
 *
 * Invariants: what fails by TLS is never tried in plaintext; an address once reached by TLS is not dialled in plaintext any
 * more, and once any was reached none is while no endpoint of the upstream says that it takes TLS: then a mark has gone
 * missing that was there. Only `upstreams.NAME.mtls: disabled` ends that.
 */
export class UpstreamTls {
  private readonly services: Http2Services;
  private readonly options: UpstreamTlsOptions;
  private readonly how: () => ConnectOptions;
  private readonly reached = new Set<string>();

  constructor(services: Http2Services, how: () => ConnectOptions, options: UpstreamTlsOptions) {
    this.services = services;
    this.how = how;
    this.options = options;
  }

  readonly connect: Connect = (address, handler, connecting, meta) => {
    const decision = this.decide(address, meta);
    if (decision !== "plaintext" && decision.kind === "failed") return later(() => connecting.onFailed(decision));
    const secure = decision === "plaintext" ? undefined : decision.attempt;
    return connectOver(this.services, this.how(), secure, address, handler, connecting);
  };

  /** Makes connections that something else than HTTP/2 is spoken over, by the same rules. */
  opener(protocol: SocketProtocol): OpenSocket {
    return (address, opening, meta) => {
      const decision = this.decide(address, meta, protocol);
      if (decision !== "plaintext" && decision.kind === "failed") return later(() => opening.onFailed(decision));
      const secure = decision === "plaintext" ? undefined : decision.attempt;
      return openSocket(this.services.clock, secure, address, opening, this.how().timeout);
    };
  }

  private decide(
    address: Address,
    meta: Meta,
    protocol?: SocketProtocol,
  ): "plaintext" | ConnectFailure | { kind: "tls"; attempt: SecureAttempt } {
    const { name, mode, credentials } = this.options;
    const wanted = mode();
    if (wanted === "disabled") return "plaintext";
    const where = formatAddress(address);
    if (wanted === "permissive" && !isMarked(meta)) {
      const isLost = this.reached.has(where) || (this.reached.size > 0 && !this.isMarkedAnywhere());
      if (!isLost) return "plaintext";
      const what = this.reached.has(where) ? where : `upstream ${name}`;
      const message = `${what} was reached by TLS before and does not say any more that it takes it: plaintext is refused, upstreams.${name}.mtls: disabled would allow it`;
      return { kind: "failed", reason: "DOWNGRADE_REFUSED", message };
    }
    const current = credentials();
    if (current === undefined) {
      this.options.counted("noIdentity");
      const message = `${where} is dialled by TLS only, and this sidecar has no valid certificate`;
      return { kind: "failed", reason: "TLS_NO_IDENTITY", message };
    }
    return { kind: "tls", attempt: this.attempt(where, current, protocol) };
  }

  private attempt(where: string, credentials: Credentials, protocol: SocketProtocol | undefined): SecureAttempt {
    const wall = this.services.clock.wall();
    return new Attempt(where, credentials, this.options, wall, protocol, () => {
      if (this.reached.size >= MAX_REACHED) this.reached.clear();
      this.reached.add(where);
    });
  }

  private isMarkedAnywhere(): boolean {
    for (const { meta } of this.options.endpoints()) if (isMarked(meta)) return true;
    return false;
  }
}

/** Whether an endpoint says of itself that it takes TLS. */
function isMarked(meta: Meta): boolean {
  return meta.mtls === "strict" || meta.mtls === "permissive";
}

/** TLS of one dial. */
class Attempt implements SecureAttempt {
  readonly options: SecureAttempt["options"];
  peer: SecurePeer | undefined = undefined;
  private readonly where: string;
  private readonly credentials: Credentials;
  private readonly upstream: UpstreamTlsOptions;
  private readonly wall: number;
  /** What is spoken over it, where that is not HTTP/2. */
  private readonly protocol: SocketProtocol | undefined;
  private readonly reached: () => void;
  private readonly resumable: ReturnType<Credentials["sessions"]["get"]>;
  private certificate: WorkloadCertificate | undefined = undefined;

  constructor(
    where: string,
    credentials: Credentials,
    upstream: UpstreamTlsOptions,
    wall: number,
    protocol: SocketProtocol | undefined,
    reached: () => void,
  ) {
    this.where = where;
    this.credentials = credentials;
    this.upstream = upstream;
    this.wall = wall;
    this.protocol = protocol;
    this.reached = reached;
    this.resumable = credentials.sessions.get(where, wall);
    const { resumable } = this;
    this.options = {
      ...credentials.clientOptions,
      ...(protocol === undefined ? {} : { ALPNProtocols: [...offers[protocol]] }),
      ...(resumable === undefined ? {} : { session: resumable.session }),
    };
  }

  verify(socket: TLSSocket): ConnectFailure | undefined {
    const who = this.who(socket);
    if ("refused" in who) return this.fail(who.refused, who.why);
    const expected = this.upstream.expected(this.credentials.own);
    if (!expected.matches(who.id))
      return this.fail("wrongIdentity", `it is ${who.id.text}, and ${this.upstream.name} is ${expected.text}`);
    this.certificate = who;
    this.upstream.counted(socket.isSessionReused() ? "resumed" : "ok");
    this.reached();
    const { protocol } = this;
    const isSidecar = protocol !== undefined && isBetweenSidecars(protocol, socket.alpnProtocol);
    this.peer = { identity: who.id.text, isSidecar, explain: (why) => this.ended(why) };
    return undefined;
  }

  explain(error: Error | undefined, milliseconds: number): ConnectFailure {
    if (error === undefined) return this.fail("timeout", `it did not come to an end within ${milliseconds} ms`);
    return this.fail(handshakeFailure(codeOf(error)), plainText(error.message));
  }

  session(session: Buffer): void {
    if (this.certificate !== undefined) this.credentials.sessions.set(this.where, { session, peer: this.certificate });
  }

  /** A resumed session shows the client no certificate: it is the one that was verified when the session was made. */
  private who(socket: TLSSocket): ReturnType<Credentials["peer"]> {
    const { credentials, resumable, wall } = this;
    if (!socket.isSessionReused()) {
      const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
      return credentials.peer(certificate, () => chainOf(socket), wall);
    }
    return resumable?.peer ?? { refused: "noCertificate", why: "it resumed a session that nobody knows" };
  }

  /** The connection stood and ended before anything was said: in TLS 1.3 that is how a server refuses a certificate. */
  private ended(why: string): ConnectFailure {
    this.credentials.sessions.forget(this.where);
    const { where } = this;
    const said = plainText(why);
    // The words of an alert are those of its code.
    if (handshakeFailure(said.toUpperCase().replaceAll(" ", "_")) === "refused")
      return failure("TLS_REFUSED", `${where} does not take the certificate of this sidecar: ${said}`);
    const message = `${where} ended the connection after the TLS handshake and before ${this.protocol === undefined ? "HTTP/2 began" : "it said anything"} (${said}): maybe it does not take the certificate of this sidecar, or is a proxy with nothing behind it`;
    return failure("TLS_REFUSED", message);
  }

  private fail(result: HandshakeResult, why: string): ConnectFailure {
    this.credentials.sessions.forget(this.where);
    this.upstream.counted(result);
    return failure(REASONS[result] ?? "TLS_HANDSHAKE_FAILED", `no TLS connection to ${this.where}: ${why}`);
  }
}

function failure(reason: ConnectFailure["reason"], message: string): ConnectFailure {
  return { kind: "failed", reason, message };
}

/** Results that have a reason of their own; the others are a handshake that failed. */
const REASONS: Partial<Record<HandshakeResult, ConnectFailure["reason"]>> = {
  untrusted: "TLS_UNTRUSTED",
  expired: "TLS_EXPIRED",
  wrongIdentity: "TLS_WRONG_IDENTITY",
  noCertificate: "TLS_WRONG_IDENTITY",
  refused: "TLS_REFUSED",
};

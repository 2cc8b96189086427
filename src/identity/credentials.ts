import { createPrivateKey, type X509Certificate } from "node:crypto";
import type { ConnectionOptions, SecureContextOptions, SecureVersion, Server } from "node:tls";
import { offers } from "../net/alpn.ts";
import { leadsTo, readWorkload, type WorkloadCertificate } from "./certificate.ts";
import type { Material } from "./material.ts";
import { readCertificates } from "./pem.ts";
import { SessionCache } from "./session-cache.ts";
import type { IdPattern } from "./spiffe.ts";
import type { HandshakeResult } from "./tls-failure.ts";
import { Trust } from "./trust.ts";

/** What a certificate has to be, to be ours. */
export interface CredentialRules {
  /** The ids that the own certificate may have. */
  readonly own: readonly IdPattern[];
  readonly minVersion: SecureVersion;
}

/** Why a peer is not taken. */
export interface PeerRefusal {
  readonly refused: HandshakeResult;
  readonly why: string;
}

/** Seconds for which a session may be resumed; it ends with the peer's certificate or these credentials, if that is earlier. */
const SESSION_SECONDS = 3600;
/** Peers whose chain was followed to their own trust domain's authorities, and who need not be looked at again. */
const MAX_KNOWN = 4096;

/**
 * One certificate with its key, and whom it trusts: what handshakes are made with, until others take its place. The key itself
 * does not leave this object.
 *
 * Invariants: immutable but for what it remembers; sessions and tickets belong to it, so that none outlives a change of the
 * certificate, of an authority or of a revocation list.
 */
export class Credentials {
  readonly own: WorkloadCertificate;
  readonly sessions = new SessionCache();
  private readonly trust: Trust;
  private readonly options: SecureContextOptions;
  private readonly known = new Set<string>();
  private readonly client: ConnectionOptions;

  /**
   * Makes them of what a source gave; a string says what is wrong with that. `retired`: authorities that are still trusted.
   */
  static make(
    material: Material,
    rules: CredentialRules,
    retired: Iterable<readonly [string, string]>,
    now: number,
  ): Credentials | string {
    let chain: X509Certificate[];
    try {
      chain = readCertificates(material.certificate);
    } catch (error) {
      return `the certificate cannot be read: ${messageOf(error)}`;
    }
    const [leaf] = chain;
    if (leaf === undefined) return "there is no certificate in it";
    const own = readWorkload(leaf);
    if (typeof own === "string") return own;
    try {
      if (!leaf.checkPrivateKey(createPrivateKey(material.key))) return "the key is another certificate's";
    } catch {
      // The error of the crypto library may quote what it has read.
      return "the key cannot be read";
    }
    if (!rules.own.some((pattern) => pattern.matches(own.id)))
      return `the certificate is for ${own.id.text}, not for ${rules.own.map(({ text }) => text).join(" or ")}`;
    if (now >= own.notAfter) return `the certificate expired at ${new Date(own.notAfter).toISOString()}`;
    if (now < own.notBefore) return `the certificate is not valid before ${new Date(own.notBefore).toISOString()}`;
    let trust: Trust;
    try {
      trust = new Trust([[own.id.trustDomain, material.authorities], ...material.federated, ...retired]);
    } catch (error) {
      return `an authority cannot be read: ${messageOf(error)}`;
    }
    if (material.revoked !== undefined && revocationLists(material.revoked).length === 0)
      return "there is no list of revoked certificates in what should be one";
    if (!leadsTo(chain, trust.of(own.id.trustDomain) ?? []))
      return "the certificate is signed by none of the authorities, so that no peer would take it";
    try {
      return new Credentials(own, trust, material, rules);
    } catch (error) {
      return `TLS does not take them: ${messageOf(error)}`;
    }
  }

  private constructor(own: WorkloadCertificate, trust: Trust, material: Material, rules: CredentialRules) {
    this.own = own;
    this.trust = trust;
    this.options = {
      cert: material.certificate,
      key: material.key,
      ca: [...trust.pem],
      minVersion: rules.minVersion,
      ...(material.revoked === undefined ? {} : { crl: revocationLists(material.revoked) }),
    };
    this.client = {
      secureContext: tls().createSecureContext(this.options),
      ALPNProtocols: [...offers.http2],
      rejectUnauthorized: true,
      checkServerIdentity: () => undefined,
    };
  }

  /**
   * A TLS server with a key of its own for tickets. It listens nowhere: connections are handed to it. `choose`: chooses what is
   * spoken of what a client offers (ALPN); a client of whose offers none is chosen is refused.
   */
  server(choose: (offered: readonly string[]) => string | undefined): Server {
    return tls().createServer({
      ...this.options,
      ALPNCallback: ({ protocols }) => choose(protocols),
      requestCert: true,
      rejectUnauthorized: true,
      sessionTimeout: SESSION_SECONDS,
      // The listener's own clock bounds handshakes.
      handshakeTimeout: 2 ** 31 - 1,
    });
  }

  /** Options of `tls.connect`. Whom the certificate names is for `peer` and the dialler to judge, and nothing else of it. */
  get clientOptions(): ConnectionOptions {
    return this.client;
  }

  /**
   * Who is at the other end, from the certificate that TLS has verified and from nothing else: a session that was resumed
   * without one counts as authorized for Node (nodejs/node#64584). `chain`: the certificate and those that the peer sent
   * with it, asked for only where it matters.
   */
  peer(
    certificate: X509Certificate | undefined,
    chain: () => readonly X509Certificate[],
    now: number,
  ): WorkloadCertificate | PeerRefusal {
    if (certificate === undefined) return { refused: "noCertificate", why: "it showed no certificate" };
    const peer = readWorkload(certificate);
    if (typeof peer === "string") return { refused: "wrongIdentity", why: peer };
    // TLS has looked at the time of a certificate only when it verified it.
    if (now >= peer.notAfter) return { refused: "expired", why: "its certificate has expired" };
    const authorities = this.trust.of(peer.id.trustDomain);
    if (authorities === undefined)
      return { refused: "untrusted", why: `the trust domain ${peer.id.trustDomain} is not trusted` };
    if (this.trust.isShared && !this.known.has(peer.fingerprint)) {
      if (!leadsTo(chain(), authorities))
        return { refused: "untrusted", why: `${peer.id.text} is not signed by an authority of its trust domain` };
      if (this.known.size >= MAX_KNOWN) this.known.clear();
      this.known.add(peer.fingerprint);
    }
    return peer;
  }
}

/** Loaded when needed: see the connector. */
function tls(): typeof import("node:tls") {
  return process.getBuiltinModule("node:tls");
}

/** One block a list: TLS reads no more than the first of a text. */
function revocationLists(pem: string): string[] {
  return [...pem.matchAll(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g)].map(([block]) => `${block}\n`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

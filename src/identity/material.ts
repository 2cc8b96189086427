/**
 * What a source of identity gives: what one proves oneself with, and whom one believes. It holds a private key, so it is handed
 * on by `identity/` to TLS and to nobody else, and never logged.
 */
export interface Material {
  /** PEM: the workload's certificate, then those of intermediate authorities. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** PEM: the authorities of the workload's own trust domain. */
  readonly authorities: string;
  /** PEM: the authorities of other trust domains, which may speak for those only. */
  readonly federated: ReadonlyMap<string, string>;
  /** PEM: lists of revoked certificates, one of each authority; undefined: nothing is revoked. */
  readonly revoked: string | undefined;
}

/** Who is told by a source. */
export interface MaterialTaker {
  /** New material, or the same again. */
  take(material: Material): void;
  /** The source cannot give any now, and goes on trying. What it gave before stays in force. */
  failed(why: string): void;
}

/** Where an identity comes from. */
export interface IdentitySource {
  readonly kind: "files" | "consul" | "spiffe" | "development";
  /**
   * Begins to tell. A source that has everything at hand has told when this resolves, and rejects where it cannot; others go
   * on trying for as long as it takes.
   */
  start(taker: MaterialTaker): Promise<void>;
  /** Two thirds of the certificate's life are over, or what came of it is no good: asks for another one now. */
  renew(): void;
  /** Frees timers and sockets; tells nothing more. */
  close(): Promise<void>;
}

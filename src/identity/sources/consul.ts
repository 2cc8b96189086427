import type { Clock } from "../../core/clock.ts";
import { follow } from "../../core/follow.ts";
import type { IdentitySource, MaterialTaker } from "../material.ts";

/** A blocking query for one of the two. */
export interface ConnectQuery {
  /** 0: answer at once. Otherwise: when it has another index, or after a while. */
  readonly index: bigint;
  readonly signal: AbortSignal;
}

/** The authorities of Consul Connect. */
export interface ConnectRoots {
  readonly index: bigint;
  /** PEM of every authority that is or was in use and still counts. */
  readonly authorities: string;
}

/** A certificate of Consul Connect, in PEM. */
export interface ConnectLeaf {
  readonly index: bigint;
  readonly certificate: string;
  readonly key: string;
}

/** Consul Connect's CA as an agent offers it. Methods reject with errors for people. */
export interface ConnectCa {
  roots(query: ConnectQuery): Promise<ConnectRoots>;
  leaf(service: string, query: ConnectQuery): Promise<ConnectLeaf>;
  /** `listener` is called when it is asked with another token or other TLS files from now on; returns what ends that. */
  onRenewed(listener: () => void): () => void;
  close(): void;
}

/**
 * Certificates of Consul Connect's CA, by blocking queries. The agent makes the key, asks a server to sign, and does both anew
 * between 60 % and 90 % of the certificate's life, and when the authority changes, for as long as somebody asks.
 */
export class ConsulIdentity implements IdentitySource {
  readonly kind = "consul";
  private readonly ca: ConnectCa;
  private readonly service: string;
  private readonly clock: Clock;
  private readonly random: () => number;
  private readonly stopped = new AbortController();
  private taker: MaterialTaker | undefined = undefined;
  private roots: ConnectRoots | undefined = undefined;
  private leaf: ConnectLeaf | undefined = undefined;
  private asking = new AbortController();
  private again = false;
  private loops: Promise<unknown> = Promise.resolve();

  constructor(ca: ConnectCa, service: string, clock: Clock, random: () => number) {
    this.ca = ca;
    this.service = service;
    this.clock = clock;
    this.random = random;
  }

  async start(taker: MaterialTaker): Promise<void> {
    this.taker = taker;
    this.loops = Promise.all([
      this.follow(
        (index) => this.ca.roots({ index, signal: this.stopped.signal }),
        (roots) => {
          this.roots = roots;
        },
      ),
      this.follow(
        (index) => this.askLeaf(index),
        (leaf) => {
          this.leaf = leaf;
        },
      ),
    ]);
  }

  renew(): void {
    this.again = true;
    this.asking.abort();
  }

  async close(): Promise<void> {
    this.taker = undefined;
    this.stopped.abort();
    this.asking.abort();
    this.ca.close();
    await this.loops;
  }

  private askLeaf(index: bigint): Promise<ConnectLeaf> {
    this.again = false;
    this.asking = new AbortController();
    return this.ca.leaf(this.service, { index, signal: AbortSignal.any([this.asking.signal, this.stopped.signal]) });
  }

  private follow<T extends { readonly index: bigint }>(
    ask: (index: bigint) => Promise<T>,
    keep: (answer: T) => void,
  ): Promise<void> {
    return follow({
      ask,
      keep: (answer) => {
        keep(answer);
        this.tell();
      },
      failed: (error) => {
        // Renewal ends the query that waits for a change.
        if (this.again) return false;
        this.taker?.failed(error instanceof Error ? error.message : String(error));
        return true;
      },
      onRenewed: (listener) => this.ca.onRenewed(listener),
      clock: this.clock,
      random: this.random,
      signal: this.stopped.signal,
    });
  }

  private tell(): void {
    const { roots, leaf } = this;
    if (roots === undefined || leaf === undefined) return;
    const { certificate, key } = leaf;
    this.taker?.take({ certificate, key, authorities: roots.authorities, federated: new Map(), revoked: undefined });
  }
}

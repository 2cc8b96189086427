import type { AttemptReport } from "../cluster/attempt-report.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { Waiter } from "../cluster/pool/waiting-line.ts";
import { type Call, type Failure, failure } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { type Reason, Status, statusName } from "../http/reason.ts";
import type { Connection } from "../http2/connection.ts";
import { overLimitOf } from "./over-limit.ts";
import type { Proof } from "./proof.ts";

/** Who gets the connection that an attempt needs. */
export interface SearchOwner {
  /** A connection with room for a stream, now. The caller of `next` has not returned yet where none had to be waited for. */
  onConnection(endpoint: Endpoint, connection: Connection): void;
  onNoEndpoint(failure: Failure): void;
  /** The call has to wait, for the first answer of discovery or for a connection. False: it may not, and has been refused. */
  onWait(): boolean;
}

/**
 * Further attempts at a call that peers refuse. One at another replica is what helps where one drains; a fleet that refuses
 * because it has too much to do must not be asked by every call from one end to the other.
 */
const MAX_REPEATS = 3;
/**
 * Further attempts at a call that came too late for its connection, or never left: each is made on a new connection, so this
 * bounds what a peer can cause that ends every connection at once.
 */
const MAX_TOO_LATE = 5;

/** Time ran out without an answer, which says something of the endpoint. */
export const LATE: ReadonlySet<Reason> = new Set(["DEADLINE_CLIENT", "DEADLINE_POLICY", "TRY_TIMEOUT"]);

/**
 * Finds an endpoint with a connection for a call, one after the other while nothing has been sent: an endpoint that cannot be
 * reached costs the call nothing but the time to find out.
 *
 * Invariants: `endpoint.started` is matched by exactly one `endpoint.done`; after `stop` the owner hears nothing more.
 */
export class EndpointSearch {
  /** For the picker. */
  readonly call: Call;
  private readonly cluster: Cluster;
  private readonly time: { now(): number };
  protected readonly owner: SearchOwner;
  private triedSoFar: Endpoint[] | undefined = undefined;
  protected cancelWait: (() => void) | undefined = undefined;
  private lastFailure: Failure | undefined = undefined;
  /** The endpoint of the attempt that is under way. */
  private current: Endpoint | undefined = undefined;
  /** The number of the attempt that left for it, 0 where none did. */
  number = 0;
  /** Octets of the answer to it. */
  received = 0;
  private startedAt = 0;
  private answeredAt: number | undefined = undefined;
  /** The endpoint that was chosen last. */
  last: Endpoint | undefined = undefined;
  /** Refusals before processing that have been answered with another attempt. */
  private repeats = 0;
  /** One of them at the same endpoint; gRFC A6 allows one. */
  private repeated = false;
  /** Attempts whose connection ended before the request was looked at. */
  private tooLate = 0;

  /** `time`: milliseconds of the clock. `tried`: endpoints that are left out from the start. */
  constructor(cluster: Cluster, call: Call, time: { now(): number }, owner: SearchOwner, tried?: Endpoint[]) {
    this.cluster = cluster;
    this.call = call;
    this.time = time;
    this.owner = owner;
    this.triedSoFar = tried;
  }

  /** Begins an attempt at an endpoint that has not been tried yet. */
  next(): void {
    const endpoint = this.cluster.pick(this);
    this.call.note("candidates", this.cluster.candidates);
    if (endpoint === undefined || this.triedSoFar?.includes(endpoint) === true) {
      this.none();
      return;
    }
    this.current = endpoint;
    this.last = endpoint;
    this.startedAt = this.time.now();
    this.answeredAt = undefined;
    this.call.note("picked", endpoint.label, endpoint.inFlight);
    endpoint.started();
    this.reach(endpoint);
  }

  /** Gets a connection of the endpoint that was picked. */
  protected reach(endpoint: Endpoint): void {
    const connection = endpoint.pool.ready();
    if (connection !== undefined) this.owner.onConnection(endpoint, connection);
    else this.wait(endpoint);
  }

  /**
   * Whether another attempt may follow one that was not processed. After a refusal: at another endpoint while there is one that
   * was not tried, and once at the same, unless only another helps (`elsewhere`); a few times in all. Where only the connection
   * ended: at any, that one included.
   */
  again(proof: Proof, elsewhere = false): boolean {
    if (this.last === undefined) return false;
    if (proof === "unsent" || proof === "goaway" || proof === "kept") return this.tooLate++ < MAX_TOO_LATE;
    if (this.repeats >= MAX_REPEATS) return false;
    this.repeats++;
    if (!this.cluster.hasOther(this.triedSoFar, this.last)) {
      if (this.repeated || elsewhere) return false;
      this.repeated = true;
      return true;
    }
    this.exclude(this.last);
    return true;
  }

  /** The head of the answer to the attempt under way came. */
  answering(): void {
    if (this.answeredAt !== undefined) return;
    this.answeredAt = this.time.now();
    this.call.answeredAt = this.answeredAt;
    this.call.note("answered", this.current?.label ?? "", this.number);
  }

  /** The attempt under way is over. `trailers`: the last head of its answer. */
  done(
    outcome: AttemptReport["outcome"],
    status?: number,
    reason?: Reason,
    trailers?: Head,
    overLimit = outcome === "cancelled" ? undefined : overLimitOf(status, reason, trailers),
  ): void {
    const endpoint = this.current;
    if (endpoint === undefined) return;
    this.current = undefined;
    const { startedAt, answeredAt, call } = this;
    const word = reason ?? (status === undefined ? outcome : statusName(status));
    call.note("attemptEnded", word, this.number);
    const endedAt = this.time.now();
    if (this.number > 0)
      call.meter?.attemptEnded(status ?? Status.CANCELLED, endedAt - startedAt, call.bytesReceived, this.received);
    this.number = 0;
    this.received = 0;
    endpoint.done({ outcome, status, reason, startedAt, answeredAt, endedAt, trailers, overLimit });
  }

  /** The call is over; whatever it waits for is given up. `why`: it was not the caller who gave up. */
  stop(why?: Failure): void {
    this.cancelWait?.();
    this.cancelWait = undefined;
    const late = why !== undefined && LATE.has(why.reason);
    this.done(late ? "failure" : "cancelled", why?.status, why?.reason);
  }

  /** For the picker: endpoints that this call has tried. */
  get tried(): readonly Endpoint[] | undefined {
    return this.triedSoFar;
  }

  private exclude(endpoint: Endpoint): void {
    this.triedSoFar ??= [];
    this.triedSoFar.push(endpoint);
  }

  private wait(endpoint: Endpoint): void {
    if (!this.owner.onWait()) return;
    const { owner } = this;
    this.cancelWait = endpoint.pool.wait(
      this.waiterAt(endpoint, (connection) => owner.onConnection(endpoint, connection)),
    );
  }

  /** Whoever waits for a connection of an endpoint, and goes on to the next one where there is none to be had. */
  protected waiterAt<C>(endpoint: Endpoint, connected: (connection: C) => void): Waiter<C> {
    return {
      caller: this.call.caller,
      onConnection: (connection) => {
        this.cancelWait = undefined;
        // Waiting for a connection is no time of the endpoint's answer.
        this.startedAt = this.time.now();
        connected(connection);
      },
      onFailed: (reason: Reason, message: string) => {
        this.cancelWait = undefined;
        this.lastFailure = failure(reason, message, { unprocessed: true });
        this.done("failure", this.lastFailure.status, reason);
        this.exclude(endpoint);
        this.next();
      },
    };
  }

  private none(): void {
    if (this.lastFailure !== undefined) {
      this.owner.onNoEndpoint(this.lastFailure);
      return;
    }
    if (this.cluster.known) {
      const { reason, detail } = this.cluster.noneReason(this.call);
      this.owner.onNoEndpoint(failure(reason, detail, { unprocessed: true }));
      return;
    }
    if (!this.owner.onWait()) return;
    this.cancelWait = this.cluster.whenKnown(() => {
      this.cancelWait = undefined;
      this.next();
    });
  }
}

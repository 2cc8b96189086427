import type { Logger } from "pino";
import { type Address, formatAddress } from "../../core/address.ts";
import { Backoff } from "../../core/backoff.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { later } from "../../core/later.ts";
import type { HeaderTable } from "../../http/headers.ts";
import type { CloseCause } from "../../http2/close-cause.ts";
import type { Connection } from "../../http2/connection.ts";
import { ErrorCode, errorCodeName } from "../../http2/errors.ts";
import type { FlushLoop } from "../../http2/flush-loop.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import type { Connect } from "./connect.ts";
import { IdleRule } from "./idle-rule.ts";
import { Keepalive, type KeepaliveHost, type KeepaliveSettings } from "./keepalive.ts";
import { PoolMember, type PoolMemberHost } from "./member.ts";
import type { ConnectionStats, Pool, PoolWatcher } from "./pool.ts";
import type { PoolOptions, SocketsOptions } from "./pool-options.ts";
import { type Waiter, WaitingLine } from "./waiting-line.ts";

/** What a pool takes from its surroundings. */
export interface PoolServices {
  readonly clock: Clock;
  readonly loop: FlushLoop;
  readonly headers: HeaderTable;
  readonly log: Logger;
  /** Uniform in [0, 1), as Math.random. */
  readonly random: () => number;
  readonly connect: Connect;
  /** Where calls take a whole connection: how it is made. */
  readonly sockets?: SocketsOptions | undefined;
  readonly keepalive: KeepaliveSettings;
}

/** Streams per stream allowed from which on another connection is opened. */
const CROWDED = 0.8;
/** What a peer is expected to allow before it says so; defaultPeerSettings has the same. */
const EXPECTED_STREAMS = 100;
/** Connections in the making at once, where more calls wait than one connection will hold. */
const MAX_DIALS = 4;
/** A connection that went away is replaced at once where there was a call within this many milliseconds, … */
const RECENT = 5000;
/** … and it had lived this long: a peer that ends every connection at once is not asked in a loop. */
const YOUNG = 100;
/** Calls that wait where an idle connection is replaced, before more take it as it is. */
const PATIENT = 100;
/** Looks that have to find a surplus connection without a stream before it is closed. */
const IDLE_LOOKS = 4;

/**
 * The HTTP/2 connections of one endpoint. One multiplexed connection costs a fraction of many, so calls fill the first; the
 * next is opened before the peer's limit on streams stalls anybody.
 *
 * Invariants:
 * - `open` holds what is handed out; a connection leaves it in the tick in which it takes no more streams;
 * - while a call waits, a connection is in the making, or what is open is full and the bound on connections is reached;
 * - calls that wait are served before newer ones, in the order of their line;
 * - after `drain` nothing is dialled, and every connection ends with its last stream.
 */
export class ConnectionPool implements Pool, PoolMemberHost, KeepaliveHost<PoolMember> {
  // --- immutable ---
  private readonly address: Address;
  private readonly label: string;
  private readonly services: PoolServices;
  private readonly options: PoolOptions;
  private readonly watcher: PoolWatcher;

  // --- connections ---
  private readonly members = new Set<PoolMember>();
  private open: Connection[] = [];
  private phase: "serving" | "draining" | "drained" = "serving";
  /** The last dial failed: what is dialled now has to prove itself before a call goes out on it. */
  private doubtful = false;
  private allowedLast = EXPECTED_STREAMS;
  private usedAt = Number.NEGATIVE_INFINITY;
  /** One that is to go stays until one of its streams ends, or another connection: there is no room for a new one. */
  private overdue = false;
  private readonly keepalive: Keepalive<PoolMember>;
  private readonly idleRule = new IdleRule();

  // --- waiting ---
  private readonly line = new WaitingLine();
  private readonly backoff: Backoff;
  /** Set while a failed dial beside connections that stand is not repeated. */
  private pause: Timer | undefined = undefined;
  private sweepTimer: Timer | undefined = undefined;

  constructor(address: Address, services: PoolServices, options: PoolOptions, watcher: PoolWatcher) {
    this.address = address;
    this.label = formatAddress(address);
    this.services = services;
    this.options = options;
    this.watcher = watcher;
    this.keepalive = new Keepalive(services.keepalive, services.clock, this);
    this.backoff = new Backoff({ base: 200, cap: 10_000, random: services.random });
  }

  /** Connections that stand or are in the making. */
  get size(): number {
    return this.members.size;
  }

  /** Whether a connection is in the making. */
  get connecting(): boolean {
    return this.making() > 0;
  }

  get standing(): boolean {
    return this.open.length > 0;
  }

  /** A connection with room for a stream, valid until control is given back; undefined where the call has to `wait`. */
  ready(): Connection | undefined {
    const now = this.services.loop.now();
    this.usedAt = now;
    const { open, idleRule } = this;
    if (open.length > 0) this.keepalive.touch();
    for (let at = 0; at < open.length; at++) {
      const connection = open[at];
      if (connection !== undefined && connection.available > 0) {
        const { activeStreams } = connection;
        if (activeStreams === 0 && now - connection.heardAt > idleRule.limit && !idleRule.allows(connection, now)) {
          this.setAside(connection);
          at--;
        } else if (activeStreams + 1 < connection.peer.maxConcurrentStreams * CROWDED) return connection;
      }
    }
    if (open.length > 0) return this.crowded();
    return this.line.length < PATIENT ? undefined : idleRule.unblamed;
  }

  /** Has `waiter` told once there is a connection, or none is to be had. Returns what gives it up; idempotent. */
  wait(waiter: Waiter): () => void {
    if (this.phase !== "serving") return later(() => waiter.onFailed("NO_ENDPOINTS", this.gone()));
    if (this.line.length >= this.options.maxWaiting) {
      const message = `${this.line.length} calls wait for a connection to ${this.label} already`;
      return later(() => waiter.onFailed("QUEUE_FULL", message));
    }
    const leave = this.line.join(waiter);
    this.connectForLine();
    return leave;
  }

  /** Connects unless a connection stands or is in the making. */
  probe(): void {
    if (this.open.length === 0) this.connect(1);
  }

  giveUp(message: string): void {
    if (this.open.length === 0) this.line.fail("CONNECT_TIMEOUT", message);
  }

  /** Takes no more calls; connections end with their last stream, and calls that wait are told that the endpoint left. */
  drain(reason: string): void {
    if (this.phase !== "serving") return;
    this.phase = "draining";
    this.pause?.cancel();
    this.sweepTimer?.cancel();
    this.open = [];
    for (const member of [...this.members]) {
      member.retire(reason);
      if (member.state.kind === "gone") this.members.delete(member);
    }
    this.line.fail("NO_ENDPOINTS", this.gone());
    this.settleDrain();
  }

  /**
   * Has connections by TLS make room for others, one after the other over `spread` milliseconds and without losing a stream: who is
   * at the other end is found out anew.
   */
  renew(reason: string, spread: number): void {
    const { clock, random } = this.services;
    for (const member of this.members)
      if (member.identity !== undefined) clock.setTimer(random() * spread, () => this.renewMember(member, reason));
  }

  /** A connection has been used for as long as it may: it goes once another one stands in its place. */
  private expire(member: PoolMember, reason: string): void {
    member.expired = reason;
    this.replaceExpired();
  }

  /** The first of those that have been used for as long as they may, and still are. */
  private get expired(): PoolMember | undefined {
    for (const member of this.members) if (member.expired !== undefined && member.state.kind === "open") return member;
    return undefined;
  }

  /**
   * Dials for the first of those that are to go. It goes without where nobody called of late, or where there may be no more connections and
   * no call has to wait for its streams to end.
   */
  private replaceExpired(): void {
    this.overdue = false;
    if (this.phase !== "serving") return;
    for (let member = this.expired; member !== undefined; member = this.expired) {
      const isUsed = this.services.clock.now() - this.usedAt <= RECENT;
      const isFull = this.members.size >= this.options.maxConnections;
      if (isUsed && this.making() > 0) return;
      if (isUsed && !isFull) {
        this.connect(1);
        return;
      }
      if (isFull && !this.canSpare(member)) {
        this.overdue = true;
        return;
      }
      this.renewMember(member, member.expired ?? "");
    }
  }

  /** Whether there can be another connection as soon as it gets no more calls, or there is one that has room. */
  private canSpare({ connection: own }: PoolMember): boolean {
    return own?.activeStreams === 0 || this.open.some((other) => other !== own && other.canOpen);
  }

  private renewMember(member: PoolMember, reason: string): void {
    const { connection, state } = member;
    if (connection === undefined || state.kind === "draining") return;
    this.withdraw(connection);
    member.retire(reason);
    this.replace(member);
  }

  /** Drains, and ends every connection now: streams are told that they are lost. */
  close(reason: string): void {
    this.drain(reason);
    for (const member of [...this.members]) member.end(reason);
  }

  get waiting(): number {
    return this.line.length;
  }

  connections(): ConnectionStats[] {
    const now = this.services.clock.now();
    const stats: ConnectionStats[] = [];
    for (const { state, connection, since, identity, life } of this.members) {
      if (state.kind === "gone") continue;
      stats.push({
        state: state.kind,
        identity,
        streams: connection?.activeStreams ?? 0,
        maxStreams: connection?.peer.maxConcurrentStreams ?? 0,
        bytesSent: connection?.bytesSent ?? 0,
        bytesReceived: connection?.bytesReceived ?? 0,
        age: now - since,
        left: life?.left,
      });
    }
    return stats;
  }

  // --- what members tell ---

  connected(_member: PoolMember, connection: Connection): void {
    const trusted = !this.doubtful && this.allowedLast >= EXPECTED_STREAMS;
    if (this.options.firstStream === "atOnce" && trusted) this.offer(connection);
  }

  proven(member: PoolMember, connection: Connection): void {
    member.life = this.options.lives?.begin({
      active: undefined,
      leave: (why) => this.expire(member, why),
      // There is no grace: calls end as they like.
      end: () => {},
    });
    this.doubtful = false;
    this.backoff.reset();
    this.allowedLast = connection.peer.maxConcurrentStreams;
    if (this.open.includes(connection)) this.serve();
    else this.offer(connection);
  }

  capacity(): void {
    if (this.line.length > 0) this.serve();
    if (this.overdue) this.replaceExpired();
  }

  retired(member: PoolMember, connection: Connection, code: ErrorCode, debug: string): void {
    if (code === ErrorCode.ENHANCE_YOUR_CALM && debug.includes("too_many_pings")) this.slowDown();
    else if (code !== ErrorCode.NO_ERROR)
      this.complain(`ended a connection with ${errorCodeName(code)} ${debug}`.trimEnd());
    this.withdraw(connection);
    this.replace(member);
  }

  ended(member: PoolMember, connection: Connection, cause: CloseCause): void {
    if (cause.kind === "violation") this.complain(`broke the protocol: ${cause.reason}`);
    if (this.idleRule.ended(connection, cause.kind === "lost" ? cause.idle : undefined))
      this.complain(`ended an idle connection without GOAWAY: calls avoid such as have been idle for half as long`);
    this.members.delete(member);
    member.life?.stop();
    this.withdraw(connection);
    if (this.phase === "serving") this.replace(member);
    else this.settleDrain();
    if (this.overdue) this.replaceExpired();
  }

  failed(member: PoolMember, failure: ConnectFailure): void {
    this.members.delete(member);
    this.open = this.open.filter((connection) => !connection.draining);
    if (this.phase !== "serving") {
      this.settleDrain();
    } else if (this.open.length > 0) {
      this.pauseDialling();
    } else if (this.making() === 0) {
      // It takes no new connections, but may well serve those that it has.
      const spare = this.idleRule.relieve();
      if (spare === undefined) this.unreachable(failure.reason, failure.message);
      else this.offer(spare);
    }
  }

  // --- what keepalive asks ---

  watched(): Iterable<PoolMember> {
    return [...this.members];
  }

  silent(member: PoolMember): void {
    const { clock, keepalive } = this.services;
    const ms = Math.round(clock.now() - (member.connection?.heardAt ?? 0));
    const message = `${this.label} did not answer a PING within ${keepalive.timeout} ms and has said nothing for ${ms} ms`;
    // Nobody picks the endpoint any more by the time that its streams are told.
    if (member.connection !== undefined) this.withdraw(member.connection);
    if (this.phase === "serving" && this.open.length === 0) this.unreachable("CONNECT_TIMEOUT", message);
    else this.services.log.warn({ endpoint: this.label }, message);
    member.end(message);
  }

  private slowDown(): void {
    if (!this.keepalive.slowDown()) return;
    this.complain(
      "finds that it is asked too often whether it is still there (too_many_pings): from now on half as often",
    );
  }

  fault(error: unknown): void {
    this.services.log.error(
      { err: error, endpoint: formatAddress(this.address) },
      "a fault of our own on a connection",
    );
  }

  // --- the rest ---

  private unreachable(reason: ConnectFailure["reason"], message: string): void {
    this.doubtful = true;
    this.idleRule.forget();
    this.watcher.onUnreachable({ kind: "failed", reason, message });
    this.line.fail(reason, message);
  }

  private complain(what: string): void {
    this.services.log.warn({ endpoint: this.label }, `${this.label} ${what}`);
  }

  private offer(connection: Connection): void {
    this.open.push(connection);
    if (this.open.length > 1) this.watchSurplus();
    this.watcher.onReachable();
    this.serve();
    const { expired } = this;
    if (expired === undefined || expired.connection === connection) return;
    this.renewMember(expired, expired.expired ?? "");
    this.replaceExpired();
  }

  /** Gives no more calls to a connection that its peer might be about to end. */
  private setAside(connection: Connection): void {
    this.withdraw(connection);
    if (this.members.size < this.options.maxConnections && this.idleRule.post(connection)) return;
    for (const member of [...this.members]) if (member.connection === connection) member.retire("idle");
  }

  private withdraw(connection: Connection): void {
    const at = this.open.indexOf(connection);
    if (at >= 0) this.open.splice(at, 1);
  }

  /** Every connection is about to be full: opens another, and gives the one with the most room. */
  private crowded(): Connection | undefined {
    let roomiest: Connection | undefined;
    let used = 1;
    let allowed = this.making() * Math.min(this.allowedLast, EXPECTED_STREAMS);
    for (const connection of this.open) {
      used += connection.activeStreams;
      allowed += connection.peer.maxConcurrentStreams;
      if (connection.available > (roomiest?.available ?? 0)) roomiest = connection;
    }
    if (used >= allowed * CROWDED) this.connect(this.making() + 1);
    return roomiest;
  }

  private serve(): void {
    while (this.line.length > 0) {
      const connection = this.ready();
      if (connection === undefined) break;
      this.line.shift()?.onConnection(connection);
    }
    this.connectForLine();
  }

  private connectForLine(): void {
    if (this.line.length === 0) return;
    this.connect(Math.ceil(this.line.length / Math.max(1, Math.min(this.allowedLast, EXPECTED_STREAMS))));
  }

  /** Sees to it that so many connections are in the making, as far as the bounds go. */
  private connect(count: number): void {
    const { open, members, services } = this;
    if (this.phase !== "serving" || (this.pause !== undefined && open.some((connection) => !connection.draining)))
      return;
    // A peer that allows no stream at all would not allow one on another connection.
    if (open.some((connection) => !connection.canOpen && !connection.draining && connection.activeStreams === 0))
      return;
    for (let making = this.making(); making < Math.min(count, MAX_DIALS); making++) {
      if (members.size >= this.options.maxConnections) return;
      members.add(new PoolMember(this.address, services.connect, this, services.clock.now(), this.watcher.meta));
    }
  }

  /** Connections that will be handed out but are not yet. */
  private making(): number {
    let count = 0;
    for (const member of this.members) {
      const { state } = member;
      if (state.kind === "dialling" || (state.kind === "new" && !this.open.includes(state.connection))) count++;
    }
    return count;
  }

  /** A connection went away. Whether its endpoint still stands is found out before the next call has to. */
  private replace(member: PoolMember): void {
    if (this.line.length > 0) {
      this.connectForLine();
      return;
    }
    if (this.open.length > 0) return;
    const now = this.services.clock.now();
    if (now - this.usedAt <= RECENT && now - member.since >= YOUNG) this.connect(1);
  }

  private pauseDialling(): void {
    this.pause ??= this.services.clock.setTimer(this.backoff.next(), () => {
      this.pause = undefined;
      this.connectForLine();
      this.replaceExpired();
    });
  }

  private watchSurplus(): void {
    this.sweepTimer ??= this.services.clock.setTimer(this.options.surplusIdle / IDLE_LOOKS, () => {
      this.sweepTimer = undefined;
      this.closeSurplus();
      if (this.open.length > 1) this.watchSurplus();
    });
  }

  private closeSurplus(): void {
    for (const member of [...this.members]) {
      const { state } = member;
      if (state.kind !== "open" || this.open.indexOf(state.connection) < 1) continue;
      member.idleLooks = state.connection.activeStreams === 0 ? member.idleLooks + 1 : 0;
      if (member.idleLooks < IDLE_LOOKS) continue;
      this.withdraw(state.connection);
      member.retire("idle");
    }
  }

  private settleDrain(): void {
    if (this.phase !== "draining" || this.members.size > 0) return;
    this.phase = "drained";
    this.keepalive.stop();
    this.watcher.onDrained();
  }

  private gone(): string {
    return `${this.label} is no instance of the service any more`;
  }
}

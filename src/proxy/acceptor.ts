import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { Keepalive, type KeepaliveHost, type KeepaliveSettings } from "../cluster/pool/keepalive.ts";
import type { Address } from "../core/address.ts";
import { Roster } from "../core/roster.ts";
import { SparingLog } from "../core/sparing-log.ts";
import { Call, failure } from "../http/call.ts";
import { isGrpc } from "../http/grpc.ts";
import type { Head } from "../http/headers.ts";
import type { Direction } from "../http/reason.ts";
import type { CloseCause } from "../http2/close-cause.ts";
import { Connection, type Http2Services } from "../http2/connection.ts";
import type { ConnectionHandler } from "../http2/connection-handler.ts";
import { ErrorCode } from "../http2/errors.ts";
import type { Http2Limits } from "../http2/limits.ts";
import type { BufferReuse } from "../http2/output.ts";
import type { Stream } from "../http2/stream.ts";
import type { ConnectionLife, ConnectionLives } from "../net/connection-life.ts";
import { localAddress } from "../net/local-address.ts";
import { readInto } from "../net/read-into.ts";
import type { AcceptedConnection, Caller } from "./accepted-connection.ts";
import { Exchange } from "./exchange.ts";
import { heedAsking } from "./explain-trailer.ts";
import type { Forwarded } from "./forwarded.ts";
import { hopsOf, MAX_HOPS } from "./hops.ts";
import type { ExchangeServices } from "./services.ts";
import type { Unrouted } from "./target.ts";
import { TunnelExchange } from "./tunnel-exchange.ts";

/** What the connections of one listener share. */
export interface AcceptorOptions {
  readonly direction: Direction;
  readonly http2: Http2Services;
  readonly keepalive: KeepaliveSettings;
  readonly limits: Http2Limits;
  readonly services: ExchangeServices;
  readonly unrouted: Unrouted;
  readonly lives: ConnectionLives;
  readonly log: Logger;
  /** What the application is told of its callers; undefined: nothing, for the caller is the application. */
  readonly forwarded?: Forwarded;
}

/**
 * Makes HTTP/2 connections of accepted sockets and calls of their streams. What a call is for is decided by the two
 * directions, `Inbound` and `Outbound`.
 */
export abstract class Acceptor implements KeepaliveHost<AcceptedConnection> {
  readonly direction: Direction;
  protected readonly options: AcceptorOptions;
  private readonly accepted = new Roster<AcceptedConnection>();
  private readonly keepalive: Keepalive<AcceptedConnection>;
  private readonly violations: SparingLog;
  private readonly malformed: SparingLog;
  private readonly silences: SparingLog;
  /** Why callers are asked to go; undefined while they are not. */
  private leaving: string | undefined = undefined;

  constructor(options: AcceptorOptions) {
    this.direction = options.direction;
    this.options = options;
    const { log, http2, keepalive } = options;
    this.keepalive = new Keepalive(keepalive, http2.clock, this);
    const closed = "its connection is closed";
    const unanswered = `a caller did not answer a PING within ${keepalive.timeout} ms; ${closed}`;
    this.violations = new SparingLog(log, "warn", `a caller broke the protocol; ${closed}`, http2.clock);
    this.malformed = new SparingLog(log, "warn", "a caller's request was malformed and is reset", http2.clock);
    this.silences = new SparingLog(log, "warn", unanswered, http2.clock);
  }

  /** What becomes of a call. */
  protected abstract onCall(exchange: Exchange): void;

  /** Whether callers are told that they may open WebSockets (RFC 8441 §3). */
  protected get takesWebSockets(): boolean {
    return true;
  }

  /** What carries a call. */
  protected makeExchange(call: Call, stream: Stream, end: boolean): Exchange {
    const { services, unrouted } = this.options;
    return new Exchange(call, stream, end, services, unrouted);
  }

  /** Takes a plaintext socket; `arrived` has been read of it already, `destination` is where it was going before a redirection. */
  accept(accepted: Socket, peer: string, arrived?: Buffer, destination?: Address): void {
    let connection: Connection | undefined;
    // As long as it has one: reading takes the handle over.
    const local = this.localOf(accepted);
    const socket = readInto(accepted, (chunk) => connection?.receive(chunk));
    connection = this.admit(socket, peer, undefined, "atOnce", destination, local);
    if (arrived !== undefined) connection.receive(arrived);
  }

  /** Takes a socket whose TLS handshake is over; `arrived` has been read of it already. */
  acceptSecured(socket: Socket, peer: string, caller: Caller, arrived?: Buffer): void {
    const connection = this.admit(socket, peer, caller, "callback", undefined, this.localOf(socket));
    if (arrived !== undefined) connection.receive(arrived);
    socket.on("data", (chunk: Buffer) => connection.receive(chunk));
  }

  private admit(
    socket: Duplex,
    peer: string,
    caller: Caller | undefined,
    reuse: BufferReuse,
    destination: Address | undefined,
    local: Address | undefined,
  ): Connection {
    const { http2, limits, log, direction, services } = this.options;
    const handler: ConnectionHandler = {
      onStream: (stream, head, end, tooLarge) => this.onStream(entry, stream, head, end, tooLarge),
      // RST_STREAM has no room for a reason.
      onMalformed: (cause) => this.malformed.tell({ direction, peer, cause }),
      onCapacity: () => {},
      onGoaway: () => {},
      onFault: (error) => log.error({ err: error, direction, peer }, "a fault of our own; the connection is closed"),
      onClose: (cause) => this.onClose(entry, cause),
    };
    const extendedConnect = this.takesWebSockets;
    const options = { role: "server", limits, reuse, announce: true, extendedConnect, fedByOwner: true } as const;
    const connection = new Connection(socket, http2, options, handler);
    const entry: AcceptedConnection = {
      peer,
      share: services.callers.join(caller?.identity, peer),
      caller,
      destination,
      local,
      connection,
      since: http2.clock.wall(),
      place: -1,
      askedAt: undefined,
      life: this.beginLife(connection, peer),
    };
    this.accepted.add(entry);
    if (this.leaving !== undefined) connection.shutdown(this.leaving);
    return connection;
  }

  private beginLife(connection: Connection, peer: string): ConnectionLife {
    const { direction, lives, log } = this.options;
    return lives.begin({
      get active() {
        return connection.activeStreams;
      },
      leave: (why) => connection.shutdown(why),
      end: (why) => {
        const exchanges = [...exchangesOf(connection)];
        if (exchanges.length > 0) log.info({ direction, peer, cut: exchanges.length }, why);
        for (const exchange of exchanges) exchange.refuse(failure("REBALANCE", why));
        connection.close(why);
      },
    });
  }

  private localOf(socket: Socket): Address | undefined {
    return this.direction === "outbound" ? undefined : localAddress(socket);
  }

  get connections(): Iterable<AcceptedConnection> {
    return this.accepted.values();
  }

  get connectionCount(): number {
    return this.accepted.size;
  }

  get activeStreams(): number {
    let streams = 0;
    for (const { connection } of this.accepted.values()) streams += connection.activeStreams;
    return streams;
  }

  /** Asks every caller to go, without losing a stream. Connections accepted later are asked as well. */
  shutdown(reason: string): void {
    this.leaving = reason;
    for (const { connection } of this.accepted.values()) connection.shutdown(reason);
  }

  watched(): Iterable<AcceptedConnection> {
    return [...this.accepted.values()];
  }

  /** A caller whose machine or network is gone: nobody waits for its calls any more. */
  silent({ peer, connection }: AcceptedConnection): void {
    const { direction, keepalive } = this.options;
    this.silences.tell({ direction, peer });
    connection.close(`a caller did not answer a PING within ${keepalive.timeout} ms`);
  }

  /**
   * Asks callers that came by TLS to come again, one after the other over `spread` milliseconds and without losing a stream:
   * who they are is found out anew.
   */
  readmit(reason: string, spread: number, random: () => number): void {
    const { clock } = this.options.http2;
    for (const { caller, connection } of this.accepted.values())
      if (caller !== undefined) clock.setTimer(random() * spread, () => connection.shutdown(reason));
  }

  /**
   * Closes the connection that has been silent longest, of those without a call; false where each has one. Whoever opens
   * connections and says nothing on them has most of these.
   */
  makeRoom(): boolean {
    const silent = this.accepted.least(({ connection }) =>
      connection.activeStreams > 0 ? Number.POSITIVE_INFINITY : connection.heardAt,
    );
    silent?.connection.close("too many connections are open");
    return silent !== undefined;
  }

  /** Asks callers to go that have no call and of which nothing has come for `ms` milliseconds; returns how many. */
  closeIdle(ms: number): number {
    const before = this.options.http2.loop.now() - ms;
    let asked = 0;
    for (const { connection } of this.accepted.values()) {
      if (connection.draining || connection.activeStreams > 0 || connection.heardAt > before) continue;
      connection.shutdown("the sidecar is overloaded, and the connection has no call");
      asked++;
    }
    return asked;
  }

  /** Ends what is left. Returns how many streams were cut. */
  closeAll(reason: string): number {
    this.keepalive.stop();
    let cut = 0;
    for (const exchange of this.exchanges()) {
      cut++;
      exchange.refuse(failure("DRAINING", reason));
    }
    for (const { connection } of this.accepted.values()) connection.close(reason);
    return cut;
  }

  /** The calls that are under way. */
  protected *exchanges(): IterableIterator<Exchange> {
    for (const { connection } of this.accepted.values()) yield* exchangesOf(connection);
  }

  private onStream(entry: AcceptedConnection, stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    const { services, direction, limits, http2, forwarded } = this.options;
    this.keepalive.touch();
    entry.life.count();
    const path = head.get(":path") ?? "";
    const clean = services.edits.foreign.apply(head);
    const told = forwarded === undefined ? clean : forwarded.apply(clean, entry);
    const call = new Call(direction, entry.peer, told, path, isGrpc(head.get("content-type")), http2.loop.now());
    call.identity = entry.caller?.identity;
    call.caller = entry.share;
    call.destination = entry.destination;
    call.local = entry.local;
    call.serverName = entry.caller?.serverName;
    services.explanations.decisions.begin(call);
    if (clean !== head) heedAsking(call, head, services.explainCallers);
    const exchange = head.list.extended
      ? new TunnelExchange(call, stream, end, services, this.options.unrouted)
      : this.makeExchange(call, stream, end);
    if (entry.connection.peer.sidecar) {
      exchange.fromSidecar = true;
      exchange.hops = hopsOf(head, clean);
    }
    if (tooLarge)
      exchange.refuse(
        failure(
          "HEADERS_TOO_LARGE",
          `the request has a header list over ${limits.maxHeaderListSize} octets or ${limits.maxHeaderFields} fields`,
          {
            unprocessed: true,
          },
        ),
      );
    else if (entry.connection.isLate(stream)) refuseLate(exchange);
    else if (exchange.hops > MAX_HOPS)
      exchange.refuse(failure("LOOP", `the call has come through ${exchange.hops} sidecars, ${MAX_HOPS} are allowed`));
    else this.onCall(exchange);
  }

  private onClose(entry: AcceptedConnection, cause: CloseCause): void {
    this.accepted.delete(entry);
    this.options.services.callers.leave(entry.share);
    entry.life.stop();
    // Nobody asks it to end later: a listener that a reload took away is forgotten with its last connection.
    if (this.leaving !== undefined && this.accepted.size === 0) this.keepalive.stop();
    const { log, direction } = this.options;
    const what = { direction, peer: entry.peer, cause: cause.reason };
    if (cause.kind === "violation") this.violations.tell(what);
    else log.debug(what, "a caller's connection is closed");
  }
}

function* exchangesOf({ streams }: Connection): IterableIterator<Exchange> {
  for (const { handler } of streams.values()) if (handler instanceof Exchange) yield handler;
}

/**
 * A stream that came after the last GOAWAY: its caller has been told that it is not processed, so it is not. A stream between
 * the first GOAWAY and the last, which its caller could not know of, is a call as any other.
 */
function refuseLate(exchange: Exchange): void {
  const what = failure("DRAINING", "the sidecar is shutting down", { unprocessed: true });
  if (exchange.fromSidecar) exchange.refuse(what);
  else exchange.refuseStream(ErrorCode.REFUSED_STREAM, what);
}

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Address } from "../../core/address.ts";
import type { Timer } from "../../core/clock.ts";
import { Roster } from "../../core/roster.ts";
import { SparingLog } from "../../core/sparing-log.ts";
import { Call, type Failure, failure } from "../../http/call.ts";
import type { Head } from "../../http/headers.ts";
import { headOfHttp1, http1Label } from "../../http/http1-head.ts";
import { defaultLimits } from "../../http2/limits.ts";
import { whetherHttp2 } from "../../net/first-octets.ts";
import { localAddress } from "../../net/local-address.ts";
import { heedAsking } from "../explain-trailer.ts";
import type { Router } from "../target.ts";
import type { Http1Call } from "./http1-call.ts";
import { Http1Exchange } from "./http1-exchange.ts";
import { Http1Upgrade } from "./http1-upgrade.ts";
import type { AcceptedSocket, Arrival, SocketAcceptor, SocketAcceptorOptions } from "./socket-acceptor.ts";

/** Milliseconds for which a caller's connection is kept without a request. Callers are told. */
const KEEP = 75_000;
/** Milliseconds beyond those until the end of the next head. */
const HEAD = 15_000;
/** Requests under way on a connection, which may send one behind the other; each takes a connection to the upstream. */
const PIPELINED = 100;

interface Entry extends AcceptedSocket {
  readonly arrival: Arrival;
  /** Of a connection of others: see `Call.local`. */
  readonly local: Address | undefined;
  readonly router: Router;
  readonly calls: Set<Http1Call>;
  timer: Timer | undefined;
  /** Milliseconds of the clock since which it has nothing to do. */
  restedAt: number;
  /** Its next answer says that it is the last one. */
  leaving: boolean;
  /** No more requests are taken of it: it ends once those that were have their answer. */
  closed: boolean;
}

/**
 * Makes calls of the requests of HTTP/1.1, read by Node's own strict parser. What the parser refuses is answered with 400, and
 * its connection ends: where a request ends is not for two to read differently.
 */
export class Http1Acceptor implements SocketAcceptor {
  private readonly options: SocketAcceptorOptions;
  private readonly accepted = new Roster<Entry>();
  private readonly entries = new WeakMap<Duplex, Entry>();
  private readonly violations: SparingLog;
  private made: Server | undefined = undefined;
  private leaving = false;

  constructor(options: SocketAcceptorOptions) {
    this.options = options;
    const message = "a caller broke the protocol; its connection is closed";
    this.violations = new SparingLog(options.log, "warn", message, options.clock);
  }

  /** `router`: where its calls go. `http2`: takes it where it begins as HTTP/2 does. */
  accept(arrival: Arrival, router: Router, http2?: (arrived: Buffer) => void): void {
    const { socket, peer, caller, arrived } = arrival;
    const { clock, lives } = this.options;
    const calls = new Set<Http1Call>();
    const entry: Entry = {
      socket,
      peer,
      caller,
      since: clock.wall(),
      place: -1,
      arrival,
      local: this.options.direction === "inbound" ? localAddress(socket) : undefined,
      router,
      calls,
      timer: undefined,
      restedAt: 0,
      leaving: false,
      closed: false,
      life: lives.begin({
        // Node's server ends one that is idle, and tells callers before for how long they may use it.
        active: undefined,
        // Not while it has nothing to do: a request may be on its way.
        leave: () => letGo(entry),
        end: (why) => {
          for (const call of calls) call.refuse(failure("REBALANCE", why));
          socket.destroySoon();
        },
      }),
      get active() {
        return calls.size;
      },
    };
    this.accepted.add(entry);
    this.entries.set(socket, entry);
    const leave = (): void => {
      entry.timer?.cancel();
      entry.life.stop();
      this.accepted.delete(entry);
    };
    socket.once("close", leave);
    this.rest(entry);
    const read = (octets: Buffer | undefined): void => {
      if (octets !== undefined) socket.unshift(octets);
      this.server.emit("connection", socket);
    };
    if (http2 === undefined) read(arrived);
    else
      whetherHttp2(socket, arrived, (isHttp2, seen) => {
        if (!isHttp2) {
          read(seen);
          return;
        }
        socket.off("close", leave);
        leave();
        http2(seen);
      });
  }

  get connections(): Iterable<AcceptedSocket> {
    return this.accepted.values();
  }

  get connectionCount(): number {
    return this.accepted.size;
  }

  get activeCalls(): number {
    let active = 0;
    for (const { calls } of this.accepted.values()) active += calls.size;
    return active;
  }

  /** Connections without a request end now, the others with their answer, which says so. */
  shutdown(): void {
    this.leaving = true;
    for (const entry of this.accepted.values()) close(entry);
  }

  /** Closes the connection that has had no whole request for longest; false where each has one. */
  makeRoom(): boolean {
    const longest = this.accepted.least(({ calls, restedAt }) =>
      calls.size > 0 ? Number.POSITIVE_INFINITY : restedAt,
    );
    if (longest === undefined) return false;
    this.accepted.delete(longest);
    longest.socket.destroy();
    return true;
  }

  /** Closes connections that have had no request for `ms` milliseconds; returns how many. */
  closeIdle(ms: number): number {
    const before = this.options.clock.now() - ms;
    let closed = 0;
    for (const entry of this.accepted.values()) {
      if (entry.calls.size > 0 || entry.closed || entry.restedAt > before) continue;
      close(entry);
      closed++;
    }
    return closed;
  }

  /** Asks callers that came by TLS to come again, over `spread` milliseconds: who they are is found out anew. */
  readmit(spread: number, random: () => number): void {
    for (const entry of this.accepted.values())
      if (entry.caller !== undefined) this.options.clock.setTimer(random() * spread, () => close(entry));
  }

  closeAll(reason: string): number {
    let cut = 0;
    for (const { socket, calls } of this.accepted.values()) {
      for (const call of calls) if (call.cut(reason)) cut++;
      socket.destroySoon();
    }
    return cut;
  }

  reconsider(verdictOn: (call: Call) => Failure | undefined): number {
    let ended = 0;
    for (const { calls } of this.accepted.values()) {
      for (const one of calls) {
        const verdict = one.call.outcome === undefined ? verdictOn(one.call) : undefined;
        if (verdict === undefined) continue;
        one.refuse(verdict);
        ended++;
      }
    }
    return ended;
  }

  private get server(): Server {
    this.made ??= this.makeServer();
    return this.made;
  }

  /** Milliseconds for which a connection is kept without a request. */
  private get kept(): number {
    return this.options.lives.terms.idleTimeout ?? KEEP;
  }

  private makeServer(): Server {
    const server = createServer({
      // Strict, whatever the command line says.
      insecureHTTPParser: false,
      maxHeaderSize: defaultLimits.maxHeaderListSize,
      // By our own clock: see `rest`.
      requestTimeout: 0,
      headersTimeout: 0,
      // `headOfHttp1` looks at it.
      requireHostHeader: false,
      shouldUpgradeCallback: isWebSocket,
    });
    // Node would leave fields out beyond; there is a limit of ours.
    server.maxHeadersCount = 0;
    const take = (request: IncomingMessage, response: ServerResponse): void => this.onRequest(request, response);
    server.on("request", take);
    // Whether the caller may send its body is for the upstream to say.
    server.on("checkContinue", take);
    server.on("checkExpectation", take);
    server.on("upgrade", (request, socket, head) => this.onUpgrade(request, socket, head));
    server.on("connect", (_request: IncomingMessage, socket: Duplex) =>
      refuse(socket, 405, "there is no CONNECT here"),
    );
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.onError(error, socket));
    return server;
  }

  private onRequest(request: IncomingMessage, response: ServerResponse): void {
    const entry = this.entries.get(request.socket);
    if (entry === undefined) {
      leaveBehind(request.socket);
      return;
    }
    if (entry.calls.size >= PIPELINED) this.stopTaking(entry);
    if (entry.closed) return;
    const head = this.headOf(request, entry);
    if (head === undefined) return;
    const call = this.callOf(head, entry);
    const { services, unrouted } = this.options;
    const exchange = new Http1Exchange({ call, request, services, unrouted }, response);
    this.busy(entry, exchange);
    if (this.leaving || entry.leaving) {
      response.shouldKeepAlive = false;
      entry.closed = true;
    }
    response.once("close", () => this.done(entry, exchange));
    begin(exchange, request, entry);
  }

  private onUpgrade(request: IncomingMessage, socket: Duplex, first: Buffer): void {
    const entry = this.entries.get(socket);
    if (entry === undefined) {
      leaveBehind(socket);
      return;
    }
    if (entry.closed) return;
    const head = this.headOf(request, entry);
    if (head === undefined) return;
    const call = this.callOf(head, entry);
    const { services, unrouted, clock } = this.options;
    const upgrade = new Http1Upgrade({ call, request, services, unrouted }, socket, first, clock);
    this.busy(entry, upgrade);
    socket.once("close", () => this.done(entry, upgrade));
    begin(upgrade, request, entry);
  }

  /** The head as a call has it. Undefined where it is malformed: then the caller has its answer. */
  private headOf(
    { method = "GET", url = "/", httpVersion, rawHeaders, socket }: IncomingMessage,
    { router, peer }: Entry,
  ): Head | undefined {
    const asked = { method, target: url, version: httpVersion, raw: rawHeaders };
    const head = headOfHttp1(this.options.services.headers, asked, router.isFixed === true);
    if (typeof head !== "string") return head;
    // As what the parser refuses: what is wrong may be where the request ends.
    this.complain(peer, head);
    // The parser reads on: what stands behind it is no request any more.
    this.entries.delete(socket);
    refuse(socket, 400, head);
    return undefined;
  }

  private callOf(head: Head, { peer, caller, arrival, local }: Entry): Call {
    const { services, direction, forwarded } = this.options;
    const known = services.edits.foreign.apply(head);
    const told = forwarded === undefined ? known : forwarded.apply(known, { peer, caller });
    const call = new Call(direction, peer, told, told.get(":path") ?? "/", false, services.loop.now());
    call.protocol = "http1";
    call.label = http1Label(told.get(":method") ?? "");
    call.identity = caller?.identity;
    call.destination = arrival.destination;
    call.local = local;
    call.serverName = caller?.serverName;
    services.explanations.decisions.begin(call);
    if (known !== head) heedAsking(call, head, services.explainCallers);
    return call;
  }

  /** What was taken is answered, then the connection ends: who sends many at once has to expect that (RFC 9112 §9.3.2). */
  private stopTaking(entry: Entry): void {
    if (entry.closed) return;
    entry.closed = true;
    entry.socket.pause();
    this.complain(entry.peer, `more than ${PIPELINED} requests are under way on a connection`);
  }

  private busy(entry: Entry, call: Http1Call): void {
    entry.timer?.cancel();
    entry.calls.add(call);
    // As one that is under way: it has something before it, which must not be the last one then.
    entry.life.count();
  }

  private done(entry: Entry, call: Http1Call): void {
    entry.calls.delete(call);
    if (entry.calls.size > 0 || entry.socket.destroyed) return;
    if (this.leaving || entry.closed) entry.socket.end();
    this.rest(entry);
  }

  /** The connection has nothing to do: it has so long to say what comes next. */
  private rest(entry: Entry): void {
    entry.timer?.cancel();
    entry.restedAt = this.options.clock.now();
    // For the requests that come next, of connections that are open as well: a reload may have changed it.
    this.server.keepAliveTimeout = this.kept;
    entry.timer = this.options.clock.setTimer(this.kept + HEAD, () => entry.socket.destroy());
  }

  private onError(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (error.code === "ECONNRESET" || !socket.writable) {
      socket.destroy();
      return;
    }
    this.complain(this.entries.get(socket)?.peer, error.message);
    const isLarge = error.code === "HPE_HEADER_OVERFLOW";
    refuse(socket, isLarge ? 431 : 400, isLarge ? "the header fields are too large" : "this is no request of HTTP/1.1");
  }

  private complain(peer: string | undefined, cause: string): void {
    this.violations.tell({ direction: this.options.direction, peer, cause });
  }
}

/** Has the next answer be the last one; of those that are under way one that has nothing behind it and has not begun. */
function letGo(entry: Entry): void {
  entry.leaving = true;
  const [only] = entry.calls;
  if (entry.calls.size === 1 && only?.sayLast() === true) entry.closed = true;
}

/** Has a connection end with the answers that are under way, or now. */
function close(entry: Entry): void {
  letGo(entry);
  entry.closed = true;
  if (entry.calls.size === 0) entry.socket.end();
}

function isWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
}

function begin(call: Http1Call, { rawHeaders }: IncomingMessage, { router }: Entry): void {
  const fields = rawHeaders.length / 2;
  const { maxHeaderFields } = defaultLimits;
  if (fields <= maxHeaderFields) call.begin(router);
  else {
    const detail = `the request has ${fields} fields, ${maxHeaderFields} are allowed`;
    call.refuse(failure("HEADERS_TOO_LARGE", detail, { unprocessed: true }));
  }
}

const words: Readonly<Record<number, string>> = {
  400: "Bad Request",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
};

/** A request on a connection that is nobody's: one that has been refused still has its answer to write. */
function leaveBehind(socket: Duplex): void {
  if (socket.writable) socket.destroy();
}

/** Answers where there is no request that could be answered. */
function refuse(socket: Duplex, status: number, why: string): void {
  const body = `${why}\n`;
  const fields = `content-type: text/plain\r\ncontent-length: ${body.length}\r\nconnection: close`;
  const response = `HTTP/1.1 ${status} ${words[status] ?? ""}\r\n${fields}\r\n\r\n${body}`;
  if (socket instanceof Socket) {
    socket.write(response);
    socket.destroySoon();
  } else socket.end(response);
}

import type { Call, Failure } from "../../http/call.ts";
import type { Router, SocketTarget } from "../target.ts";
import { Http1Acceptor } from "./http1-acceptor.ts";
import type { AcceptedSocket, Arrival, SocketAcceptorOptions } from "./socket-acceptor.ts";
import { TcpAcceptor } from "./tcp-acceptor.ts";

/** Those connections of a listener that are not HTTP/2. */
export class SideEntrance {
  private readonly http1: Http1Acceptor;
  private readonly tcp: TcpAcceptor;

  constructor(options: SocketAcceptorOptions) {
    this.http1 = new Http1Acceptor(options);
    this.tcp = new TcpAcceptor(options);
  }

  accept(protocol: SocketTarget["protocol"], arrival: Arrival, router: Router): void {
    const { socket } = arrival;
    // A caller may have said all that it has to say, and wait for the answer.
    socket.allowHalfOpen = true;
    this[protocol].accept(arrival, router);
  }

  /** Takes a connection that may be HTTP/1.1: what comes first decides. `http2`: takes it where it is not. */
  look(arrival: Arrival, router: Router, http2: (arrived: Buffer) => void): void {
    arrival.socket.allowHalfOpen = true;
    this.http1.accept(arrival, router, http2);
  }

  get connections(): AcceptedSocket[] {
    return [...this.http1.connections, ...this.tcp.connections];
  }

  get connectionCount(): number {
    return this.http1.connectionCount + this.tcp.connectionCount;
  }

  get activeCalls(): number {
    return this.http1.activeCalls + this.tcp.activeCalls;
  }

  /** Closes a connection that has no call, for another one; false where each has one. */
  makeRoom(): boolean {
    return this.http1.makeRoom();
  }

  /** Closes those that could be asked for another request and have been without one for `ms` milliseconds; returns how many. */
  closeIdle(ms: number): number {
    return this.http1.closeIdle(ms);
  }

  shutdown(): void {
    this.http1.shutdown();
    this.tcp.shutdown();
  }

  /** Has callers of HTTP/1.1 come again; a connection of TCP cannot be asked to. */
  readmit(spread: number, random: () => number): void {
    this.http1.readmit(spread, random);
  }

  closeAll(reason: string): number {
    return this.http1.closeAll(reason) + this.tcp.closeAll(reason);
  }

  reconsider(verdictOn: (call: Call) => Failure | undefined): number {
    return this.http1.reconsider(verdictOn) + this.tcp.reconsider(verdictOn);
  }
}

import type { Socket } from "node:net";
import { Roster } from "../../core/roster.ts";
import { Call, type Failure, failure } from "../../http/call.ts";
import { localAddress } from "../../net/local-address.ts";
import type { Caller } from "../accepted-connection.ts";
import type { Router } from "../target.ts";
import type { AcceptedSocket, Arrival, SocketAcceptor, SocketAcceptorOptions } from "./socket-acceptor.ts";
import { TcpCall } from "./tcp-call.ts";

/** The path and the method's label of every connection: it has no other. */
const PATH = "/";
const LABEL = "/TCP/connection";

interface Entry extends AcceptedSocket {
  readonly socket: Socket;
  readonly caller: Caller | undefined;
  readonly call: TcpCall;
}

/** Makes a call of each connection: TCP, of which nothing is known but where it comes from and whom it is for. */
export class TcpAcceptor implements SocketAcceptor {
  private readonly options: SocketAcceptorOptions;
  private readonly accepted = new Roster<Entry>();

  constructor(options: SocketAcceptorOptions) {
    this.options = options;
  }

  accept({ socket, peer, caller, told = false, arrived, destination }: Arrival, router: Router): void {
    const { direction, services, unrouted, clock, lives } = this.options;
    const head = services.headers.head([]);
    const call = new Call(direction, peer, head, PATH, false, services.loop.now());
    call.protocol = "tcp";
    call.label = LABEL;
    call.identity = caller?.identity;
    call.destination = destination;
    call.serverName = caller?.serverName;
    if (direction === "inbound") call.local = localAddress(socket);
    services.explanations.decisions.begin(call);
    socket.pause();
    const over = (): void => {
      this.accepted.delete(entry);
      entry.life.stop();
    };
    const passing = new TcpCall({ call, socket, arrived, told, services, unrouted, clock, over });
    const life = lives.begin({
      // How long it may be idle is a matter of whom it is for.
      active: undefined,
      // There is no word for it: it goes when its grace is over, or by itself.
      leave: () => {},
      end: (why) => passing.refuse(failure("REBALANCE", why)),
    });
    const entry: Entry = { socket, peer, caller, since: clock.wall(), active: 1, place: -1, call: passing, life };
    this.accepted.add(entry);
    passing.begin(router);
  }

  get connections(): Iterable<AcceptedSocket> {
    return this.accepted.values();
  }

  get connectionCount(): number {
    return this.accepted.size;
  }

  get activeCalls(): number {
    return this.accepted.size;
  }

  /** TCP has no word for it: whoever wants to be gone when the sidecar is has to go by itself. */
  shutdown(): void {}

  closeAll(reason: string): number {
    let cut = 0;
    for (const { call, socket } of this.accepted.values()) {
      if (call.cut(reason)) cut++;
      else socket.destroy();
    }
    return cut;
  }

  reconsider(verdictOn: (call: Call) => Failure | undefined): number {
    let ended = 0;
    for (const { call } of this.accepted.values()) {
      const verdict = call.call.outcome === undefined ? verdictOn(call.call) : undefined;
      if (verdict === undefined) continue;
      call.refuse(verdict);
      ended++;
    }
    return ended;
  }
}

import type { Cluster } from "../../cluster/cluster.ts";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { SocketLease } from "../../cluster/pool/socket-pool.ts";
import type { Call } from "../../http/call.ts";
import { EndpointSearch, type SearchOwner } from "../endpoint-search.ts";

/** Who gets the connection that a call has for itself. */
export interface SocketOwner extends Pick<SearchOwner, "onNoEndpoint" | "onWait"> {
  /** The lease is taken at once, or the connection may be somebody else's. */
  onSocket(endpoint: Endpoint, lease: SocketLease): void;
}

/** Finds an endpoint for a call that takes a whole connection: one that cannot be reached costs the time to find out. */
export class SocketSearch extends EndpointSearch {
  private readonly taker: SocketOwner;

  constructor(cluster: Cluster, call: Call, time: { now(): number }, taker: SocketOwner) {
    super(cluster, call, time, {
      onConnection: () => {},
      onNoEndpoint: (failure) => taker.onNoEndpoint(failure),
      onWait: () => taker.onWait(),
    });
    this.taker = taker;
  }

  protected override reach(endpoint: Endpoint): void {
    if (endpoint.sockets === undefined) throw new Error(`${endpoint.label} has no connections for one call each`);
    if (!this.owner.onWait()) return;
    if (!endpoint.sockets.agent.hasIdle) this.call.note("waits", "a connection");
    this.cancelWait = endpoint.sockets.take(
      this.waiterAt(endpoint, (lease: SocketLease) => this.taker.onSocket(endpoint, lease)),
    );
  }
}

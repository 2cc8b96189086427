import { Writable } from "node:stream";
import { pino } from "pino";
import { roundRobin } from "../../src/cluster/balancers/round-robin.ts";
import { Cluster, type ClusterOptions } from "../../src/cluster/cluster.ts";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import { type ClusterPolicy, defaultPolicy } from "../../src/cluster/policy.ts";
import type { Connect } from "../../src/cluster/pool/connect.ts";
import { formatAddress } from "../../src/core/address.ts";
import { Watch } from "../../src/core/watch.ts";
import type { Discovered, EndpointSpec, Subscription } from "../../src/discovery/source.ts";
import type { Reason } from "../../src/http/reason.ts";
import { FakeClock } from "../support/clock.ts";
import { after, poolServices } from "./endpoints.ts";
import { FakeServer, NOTHING, requestHead } from "./fake-server.ts";

/** Round robin, so that a test can say who is next. */
export const inTurn: ClusterPolicy = { ...defaultPolicy, balancer: roundRobin };

/** A cluster over a source and servers that are the test's. */
export class ClusterHarness {
  readonly clock = new FakeClock();
  readonly state = new Watch<Discovered>({ kind: "pending", error: undefined });
  readonly cluster: Cluster;
  readonly lines: { readonly level: number; readonly msg: string; readonly [key: string]: unknown }[] = [];
  subscriptions = 1;
  /** What every draw of chance comes to. */
  chance = 0;
  private readonly servers = new Map<string, FakeServer>();

  constructor(more: Partial<ClusterOptions> = {}, ...known: EndpointSpec[]) {
    if (known.length > 0) this.discover(...known);
    const subscription: Subscription = { state: this.state, uses: 0, close: () => void this.subscriptions-- };
    const connect: Connect = (address, handler, connecting, meta) =>
      this.server(formatAddress(address)).connect(address, handler, connecting, meta);
    const write = (line: Buffer, _encoding: string, done: () => void) => {
      this.lines.push(JSON.parse(line.toString()));
      done();
    };
    const log = pino({ base: null }, new Writable({ write }));
    const services = { ...poolServices(connect, this.clock), log, random: () => this.chance };
    this.cluster = new Cluster({ name: "orders", source: "consul", policy: inTurn, ...more }, subscription, services);
  }

  /** The server behind an address. */
  server(address: string): FakeServer {
    const known = this.servers.get(address);
    if (known !== undefined) return known;
    const server = new FakeServer(this.clock);
    this.servers.set(address, server);
    return server;
  }

  /** The server on a port of 127.0.0.1. */
  on(port: number): FakeServer {
    return this.server(`127.0.0.1:${port}`);
  }

  /** Discovery answers. */
  discover(...endpoints: EndpointSpec[]): void {
    const updatedAt = this.clock.wall();
    this.state.set({ kind: "known", endpoints, updatedAt, staleSince: undefined, error: undefined });
  }

  pick(...tried: Endpoint[]): Endpoint | undefined {
    return this.cluster.pick(after(...tried));
  }

  /** The ids that so many picks come to. */
  picks(count: number): string {
    return Array.from({ length: count }, () => this.pick()?.id ?? "none").join(" ");
  }

  endpoint(id: string): Endpoint {
    for (const endpoint of this.cluster.endpoints) if (endpoint.id === id) return endpoint;
    throw new Error(`no endpoint ${id}`);
  }

  /** Makes a call to whatever is picked; says how it went as soon as that is known. */
  async call(): Promise<{ readonly id: string; readonly outcome: "answered" | "aborted" | Reason }> {
    const endpoint = this.pick();
    if (endpoint === undefined) return { id: "none", outcome: this.cluster.noneReason().reason };
    const { id, pool } = endpoint;
    return await new Promise((resolve) => {
      const open = (connection: NonNullable<ReturnType<typeof pool.ready>>) => {
        connection.openStream(requestHead(this.on(1).services.headers), true, {
          ...NOTHING,
          onHead: () => resolve({ id, outcome: "answered" }),
          onAbort: () => resolve({ id, outcome: "aborted" }),
        });
      };
      const connection = pool.ready();
      if (connection !== undefined) open(connection);
      else pool.wait({ onConnection: open, onFailed: (reason) => resolve({ id, outcome: reason }) });
    });
  }

  /** Ends everything, and says what is left. */
  async leftovers(): Promise<{ timers: number; servers: number; endpoints: number; subscriptions: number }> {
    this.cluster.terminate("the test is over");
    await this.clock.pass(60_000);
    let servers = 0;
    for (const { standing } of this.servers.values()) servers += standing.length;
    const endpoints = this.cluster.stats().length;
    return { timers: this.clock.pending, servers, endpoints, subscriptions: this.subscriptions };
  }
}

/** What `leftovers` says where nothing is left. */
export const NOTHING_LEFT = { timers: 0, servers: 0, endpoints: 0, subscriptions: 0 };

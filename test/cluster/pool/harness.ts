import { ConnectionPool } from "../../../src/cluster/pool/connection-pool.ts";
import type { PoolWatcher } from "../../../src/cluster/pool/pool.ts";
import { defaultPoolOptions, type PoolOptions } from "../../../src/cluster/pool/pool-options.ts";
import type { Reason } from "../../../src/http/reason.ts";
import type { Connection } from "../../../src/http2/connection.ts";
import type { Stream, StreamAbort } from "../../../src/http2/stream.ts";
import { FakeClock, settled } from "../../support/clock.ts";
import { poolServices } from "../endpoints.ts";
import { FakeServer, NOTHING, requestHead } from "../fake-server.ts";

/** A call as a caller sees it. */
export interface TestCall {
  state: "waiting" | "open" | "answered" | "aborted" | "failed" | "gave up";
  reason: Reason | undefined;
  message: string;
  abort: StreamAbort | undefined;
  connection: Connection | undefined;
  stream: Stream | undefined;
  readonly giveUp: () => void;
}

/** A pool in front of a server in memory, with what its watcher heard and the calls that were made over it. */
export class PoolHarness {
  readonly clock: FakeClock;
  readonly server: FakeServer;
  readonly heard: string[] = [];
  readonly calls: TestCall[] = [];
  readonly pool: ConnectionPool;
  /** Called when a stream is aborted, in the same tick. */
  onAbort: (call: TestCall) => void = () => {};

  constructor(options: Partial<PoolOptions> = {}, clock = new FakeClock()) {
    this.clock = clock;
    this.server = new FakeServer(clock);
    const watcher: PoolWatcher = {
      meta: {},
      onReachable: () => this.heard.push("reachable"),
      onUnreachable: ({ reason }) => this.heard.push(reason),
      onDrained: () => this.heard.push("drained"),
    };
    const services = poolServices(this.server.connect, this.clock);
    const address = { kind: "tcp", host: "127.0.0.1", port: 1 } as const;
    this.pool = new ConnectionPool(address, services, { ...defaultPoolOptions, ...options }, watcher);
  }

  /** Makes a call, as the proxy does: at once where there is room, else by waiting. */
  call(): TestCall {
    let cancel = () => {};
    const call: TestCall = {
      state: "waiting",
      reason: undefined,
      message: "",
      abort: undefined,
      connection: undefined,
      stream: undefined,
      giveUp: () => {
        call.state = "gave up";
        cancel();
      },
    };
    this.calls.push(call);
    const connection = this.pool.ready();
    if (connection !== undefined) {
      this.open(call, connection);
      return call;
    }
    cancel = this.pool.wait({
      onConnection: (found) => this.open(call, found),
      onFailed: (reason, message) => {
        if (call.state !== "waiting") throw new Error(`a call that is ${call.state} failed`);
        Object.assign(call, { state: "failed", reason, message });
      },
    });
    return call;
  }

  /** Makes calls one after the other, in one tick. */
  burst(count: number): TestCall[] {
    return Array.from({ length: count }, () => this.call());
  }

  /** How many calls are in each state. */
  get states(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { state } of this.calls) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  /** Lets the answers to everything that is held on the server go. */
  answerAll(): void {
    for (const { streams } of this.server.accepted) {
      for (const stream of streams.splice(0)) this.server.answer(stream);
    }
  }

  /** Ends everything, and says what is left: timers, connections, places in the line. */
  async leftovers(): Promise<{ timers: number; connections: number; server: number; waiting: number }> {
    this.pool.close("the test is over");
    await settled();
    for (const transport of this.server.muted) transport.destroy();
    // The time that a peer gets to read our last frames.
    await this.clock.pass(1000);
    const { clock, pool, server } = this;
    return { timers: clock.pending, connections: pool.size, server: server.standing.length, waiting: pool.waiting };
  }

  private open(call: TestCall, connection: Connection): void {
    if (call.state !== "waiting") throw new Error(`a call that is ${call.state} got a connection`);
    call.state = "open";
    call.connection = connection;
    call.stream = connection.openStream(requestHead(this.server.services.headers), true, {
      ...NOTHING,
      onHead: (_head, end) => {
        if (end) call.state = "answered";
      },
      onAbort: (abort) => {
        call.state = "aborted";
        call.abort = abort;
        this.onAbort(call);
      },
    });
  }
}

/** What `leftovers` says where nothing is left. */
export const NOTHING_LEFT = { timers: 0, connections: 0, server: 0, waiting: 0 };

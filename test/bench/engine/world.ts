import { Cluster } from "../../../src/cluster/cluster.ts";
import type { Connect } from "../../../src/cluster/pool/connect.ts";
import { defaultKeepalive } from "../../../src/cluster/pool/keepalive.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { unroutedFilters } from "../../../src/filters/index.ts";
import { HeaderTable } from "../../../src/http/headers.ts";
import { Connection, type Http2Services } from "../../../src/http2/connection.ts";
import type { ConnectionHandler } from "../../../src/http2/connection-handler.ts";
import { FlushLoop } from "../../../src/http2/flush-loop.ts";
import { defaultLimits } from "../../../src/http2/limits.ts";
import type { StreamHandler } from "../../../src/http2/stream.ts";
import { createLog } from "../../../src/observability/log.ts";
import { Outbound } from "../../../src/proxy/outbound.ts";
import { makeServices } from "../../../src/runtime/services.ts";
import { Sources } from "../../../src/runtime/sources.ts";
import { Upstreams } from "../../../src/runtime/upstreams/upstreams.ts";
import { grpcMessage } from "../sample-call.ts";
import { DirectSocket } from "./direct-socket.ts";

/** The metadata of a call, as pairs of names and values. */
export type Metadata = readonly (readonly [name: string, value: string])[];

/** A client and a server of the engine with nothing or a sidecar's outbound half between them, all in this thread. */
export interface World {
  /** Makes calls at once, one for each list; resolves when each has been answered. */
  calls(lists: readonly Metadata[]): Promise<void>;
}

const HOW = { limits: defaultLimits, reuse: "atOnce", announce: false, fedByOwner: true } as const;
const MESSAGE = grpcMessage(128);
const IGNORE: StreamHandler = {
  onInformational() {},
  onHead() {},
  onData() {},
  onTrailers() {},
  onSent() {},
  onAbort() {},
};
const QUIET: ConnectionHandler = {
  onStream() {},
  onCapacity() {},
  onGoaway() {},
  onClose() {},
  onFault(error) {
    throw error;
  },
};

const services = (): Http2Services => ({
  clock: systemClock,
  loop: new FlushLoop(systemClock),
  headers: new HeaderTable(),
});

/** The application: echoes the message of each call. */
function serve(socket: DirectSocket): void {
  const shared = services();
  const { headers } = shared;
  const head = headers.head([
    [":status", "200"],
    ["content-type", "application/grpc"],
  ]);
  const trailers = headers.head([["grpc-status", "0"]]);
  const connection = new Connection(
    socket,
    shared,
    { role: "server", ...HOW },
    {
      ...QUIET,
      onStream: (stream) => {
        stream.handler = {
          ...IGNORE,
          onData: (buffer, start, end, fin) => {
            stream.release(end - start);
            if (!fin) return;
            stream.sendHead(head, false);
            stream.sendData(buffer, start, end, false);
            stream.sendTrailers(trailers);
          },
        };
      },
    },
  );
  socket.feed((chunk) => connection.receive(chunk));
}

/** The caller. */
function caller(socket: DirectSocket): World {
  const shared = services();
  const connection = new Connection(socket, shared, { role: "client", ...HOW }, QUIET);
  socket.feed((chunk) => connection.receive(chunk));
  let left = 0;
  let done = (): void => {};
  let failed = (_error: Error): void => {};
  const call = (metadata: Metadata): void => {
    const stream = connection.openStream(shared.headers.head(metadata), false, {
      ...IGNORE,
      onData: (_buffer, start, end) => stream.release(end - start),
      onTrailers: (head) => {
        if (head.get("grpc-status") !== "0") failed(new Error(`grpc-status ${head.get("grpc-status")}`));
        if (--left === 0) done();
      },
      onHead: (head, end) => {
        if (end) failed(new Error(`the call was refused: ${head.get("grpc-message")}`));
      },
      onAbort: ({ kind }) => failed(new Error(`the call was ended: ${kind}`)),
    });
    stream.sendData(MESSAGE, 0, MESSAGE.length, true);
  };
  return {
    calls: (lists) =>
      new Promise((resolve, reject) => {
        left = lists.length;
        done = resolve;
        failed = reject;
        for (const list of lists) call(list);
      }),
  };
}

/** Nothing between them. */
export function direct(): World {
  const [client, server] = DirectSocket.pair();
  serve(server);
  return caller(client);
}

/** The outbound half of a sidecar between them, as `outrigger run` composes it, with sockets in memory. */
export function proxied(
  more: Readonly<Record<string, unknown>> = {},
  upstream: Readonly<Record<string, unknown>> = {},
): World {
  const text = JSON.stringify({
    identity: { name: "bench" },
    ...more,
    upstreams: { echo: { discovery: "static", endpoints: ["127.0.0.1:1"], ...upstream } },
  });
  const loaded = loadConfig(text, { file: "engine", env: {} });
  if (!loaded.ok) throw new Error(`the configuration is broken: ${JSON.stringify(loaded)}`);
  const { config } = loaded;
  const log = createLog({
    service: "bench",
    version: "0",
    level: "warn",
    clock: systemClock,
    sink: { write: () => {} },
  });
  const shared = makeServices(systemClock, log, config, "0");
  const { http2, clock, random, metrics, accessLog } = shared;
  const connect: Connect = (_address, handler, connecting) => {
    let over = false;
    setImmediate(() => {
      if (over) return;
      const [socket, server] = DirectSocket.pair();
      serve(server);
      const connection = new Connection(socket, http2, { role: "client", ...HOW }, handler);
      socket.feed((chunk) => connection.receive(chunk));
      connecting.onConnected(connection);
    });
    return () => {
      over = true;
    };
  };
  const pools = {
    clock,
    loop: http2.loop,
    headers: http2.headers,
    log: log.logger,
    random,
    connect,
    keepalive: defaultKeepalive,
  };
  const upstreams = new Upstreams(config, {
    sources: new Sources(config, { clock, log: log.logger, random, own: () => [] }),
    makeCluster: (name, source, policy) =>
      new Cluster({ name, source: source.kind, policy }, source.subscribe(name), pools),
    makePlainCluster: () => {
      throw new Error("nothing is captured here");
    },
    discovery: { clock, log: log.logger, random, own: () => [] },
    metrics: metrics.calls,
    accessLog,
    tracer: shared.tracer,
    rates: shared.rateLimits.groups.outbound,
    overload: shared.overload,
    bandwidth: shared.bandwidth,
    concurrency: shared.concurrency,
    clock,
    faults: shared.faults,
    hopeless: shared.hopeless,
    headers: http2.headers,
    policies: { clock, random, deadlines: shared.deadlines, http2, log: log.logger },
  });
  const series = metrics.calls.upstream("outbound", "");
  const outbound = new Outbound(
    {
      direction: "outbound",
      lives: shared.callerConnections.outbound.lives,
      http2,
      keepalive: defaultKeepalive,
      limits: defaultLimits,
      services: shared.exchange(() => "bench", "outbound"),
      unrouted: { series, filters: unroutedFilters({ series, accessLog, tracer: shared.tracer }) },
      log: log.logger,
    },
    () => upstreams,
  );
  const [client, accepted] = DirectSocket.pair();
  outbound.accept(accepted, "127.0.0.1:2");
  return caller(client);
}

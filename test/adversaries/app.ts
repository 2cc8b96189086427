import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { systemClock } from "../../src/core/clock.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { Connection } from "../../src/http2/connection.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { defaultLimits, type Http2Limits } from "../../src/http2/limits.ts";
import type { Stream, StreamHandler } from "../../src/http2/stream.ts";
import { NOTHING } from "../cluster/fake-server.ts";
import type { Scope } from "../support/with-proxy.ts";

/** Octets of the answer to /big. */
export const BIG = 1_000_000;

/** An application of our own engine. */
export interface App {
  readonly address: string;
  /** Connections that were made to it, and that are over; not those that were given up because they had nothing to do. */
  readonly made: () => number;
  readonly over: () => number;
  /** Paths that were asked for. */
  readonly asked: string[];
}

/** The path of a gRPC call, which is answered at once. */
export const CALL = "/test.v1.Test/Call";

/**
 * Answers a gRPC call and /fast at once, /big with many octets, /echo with what it gets, and nothing else. It does not count what its clients
 * do: Envoy passes on every cancel over one connection.
 */
export async function startApp(scope: Scope, limits: Partial<Http2Limits> = {}): Promise<App> {
  const services = { clock: systemClock, loop: new FlushLoop(systemClock), headers: new HeaderTable() };
  const head = services.headers.head([[":status", "200"]]);
  const trailers = services.headers.head([["x-done", "yes"]]);
  const done = services.headers.head([
    [":status", "200"],
    ["content-type", "application/grpc"],
    ["grpc-status", "0"],
  ]);
  const piece = Buffer.alloc(10_000, "big ");
  const without = { burst: 1e9, rate: 1e9 };
  const budgets = { ...defaultLimits.budgets, resets: without, refused: without, streamErrors: without };
  const options = {
    role: "server",
    limits: { ...defaultLimits, budgets, ...limits },
    reuse: "atOnce",
    announce: false,
  } as const;
  const asked: string[] = [];
  let [made, over] = [0, 0];

  /** As much of the big answer as the stream takes at once; the rest when it has taken that. Gives what is left. */
  const pour = (stream: Stream, left: number): number => {
    while (left > 0 && stream.queued === 0 && stream.canSend) {
      stream.sendData(piece, 0, piece.length, false);
      left -= piece.length;
    }
    if (left === 0) stream.sendTrailers(trailers);
    return left;
  };

  const handlerOf = (stream: Stream, path: string): StreamHandler => {
    let left = path === "/big" ? BIG : 0;
    if (path === CALL) stream.sendHead(done, true);
    if (path === "/fast" || path === "/big" || path === "/echo") stream.sendHead(head, false);
    if (path === "/fast" || path === "/big") left = pour(stream, left);
    return {
      ...NOTHING,
      onData: (buffer, from, to, fin) => {
        stream.release(path === "/echo" ? stream.sendData(buffer, from, to, fin) : to - from);
      },
      onSent: (octets) => {
        if (path === "/echo") stream.release(octets);
        else if (left > 0) left = pour(stream, left);
      },
    };
  };

  const server = createServer((socket) => {
    made++;
    let isSpare = false;
    new Connection(socket, services, options, {
      onStream: (stream, request, end) => {
        const path = request.get(":path") ?? "";
        asked.push(path);
        stream.handler = handlerOf(stream, path);
        if (end && path === "/echo") stream.sendTrailers(trailers);
      },
      onCapacity() {},
      onGoaway: (_code, debug) => {
        isSpare = debug === "idle";
      },
      onClose: () => {
        if (!isSpare) over++;
      },
      onFault(error) {
        throw error;
      },
    });
    scope.onEnd(() => void socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  scope.onEnd(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, made: () => made, over: () => over, asked };
}

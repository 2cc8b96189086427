import type { Socket } from "node:net";
import type { Logger } from "pino";
import { type Address, formatAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { openFilesLimit } from "../core/open-files.ts";
import type { FlushLoop } from "../http2/flush-loop.ts";
import { controlShare } from "../net/connection-budget.ts";
import { beginsHttp2 } from "../net/detect.ts";
import { Listener } from "../net/listener.ts";
import { acceptsOpenMetrics } from "../observability/open-metrics.ts";
import type { ControlListener } from "./control-listener.ts";
import { HealthService } from "./health-service.ts";
import { type HttpAnswer, type HttpRequest, problem, quote } from "./http-answer.ts";
import { HttpFace } from "./http-face.ts";
import { ScrapeShare } from "./scrape-share.ts";
import { liveAnswer, readyAnswer, startupAnswer } from "./state-answers.ts";
import type { ControlView } from "./view.ts";

/** What the probe listener answers from. */
export interface ProbeOptions {
  readonly view: ControlView;
  readonly clock: Clock;
  readonly loop: FlushLoop;
  readonly log: Logger;
}

/** The contract's bound: kubelet, Prometheus and some watchers, not the world. */
const MAX_CONNECTIONS = 64;
/** Milliseconds for the octets that say which protocol it is. */
const FIRST_OCTETS = 5000;

const paths = ["/ready", "/live", "/startup", "/metrics"];

/**
 * Binds the listener for kubelet and Prometheus: plaintext and read-only, HTTP/1.1 and gRPC health checks on one port.
 * Rejects with a BindError.
 */
export async function startProbe(address: Address, options: ProbeOptions): Promise<ControlListener> {
  const { view, clock, loop, log } = options;
  const scrapes = {
    prometheus: new ScrapeShare(() => view.metrics("prometheus"), clock),
    openmetrics: new ScrapeShare(() => view.metrics("openmetrics"), clock),
  };
  const health = new HealthService(view, clock, loop, log);
  // Whoever probes comes again and again: a place is free as soon as the answer is taken.
  const face = new HttpFace({ clock, log, keepAlive: false, answer: (request) => answerTo(request, view, scrapes) });
  const most = controlShare(openFilesLimit(), MAX_CONNECTIONS);
  const listener = await Listener.bind(
    address,
    { limits: { maxConnections: most } },
    {
      onConnection: (socket) => sort(socket, clock, health, face),
      onRefused: () => log.debug({ most }, "probe: a connection over the limit was closed"),
      onError: (error) => log.warn({ err: error }, "probe: a connection could not be taken"),
    },
  );
  log.debug({ address: formatAddress(listener.address) }, "probe is bound");
  return { address: listener.address, close: () => listener.close() };
}

/** Hands a connection to who speaks its protocol, as soon as its octets say which. */
function sort(socket: Socket, clock: Clock, health: HealthService, face: HttpFace): void {
  const timer = clock.setTimer(FIRST_OCTETS, () => socket.destroy());
  socket.once("close", () => timer.cancel());
  // Everything that fails on a connection ends it; "close" follows.
  socket.on("error", () => {});
  let seen = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    seen = Buffer.concat([seen, chunk]);
    const protocol = protocolOf(seen);
    if (protocol === "unknown yet") return;
    timer.cancel();
    socket.off("data", onData);
    if (protocol === "http2") {
      health.accept(socket, seen);
    } else {
      socket.pause();
      socket.unshift(seen);
      face.accept(socket);
    }
  };
  socket.on("data", onData);
}

/** What the first octets of a connection speak. At most three leave it open. */
export function protocolOf(octets: Buffer): "http2" | "http1" | "unknown yet" {
  const isHttp2 = beginsHttp2(octets);
  if (isHttp2 === undefined) return "unknown yet";
  return isHttp2 ? "http2" : "http1";
}

type Scrapes = Readonly<Record<"prometheus" | "openmetrics", ScrapeShare>>;

async function answerTo(request: HttpRequest, view: ControlView, scrapes: Scrapes): Promise<HttpAnswer> {
  const { method, path } = request;
  if (!paths.includes(path))
    return problem(404, `there is no ${quote(path)} here; there are ${paths.join(", ")} and grpc.health.v1.Health`);
  if (method !== "GET") return problem(405, `${path} takes GET, not ${quote(method)}`, { allow: "GET" });
  switch (path) {
    case "/ready":
      return readyAnswer(view);
    case "/live":
      return liveAnswer(view);
    case "/startup":
      return startupAnswer(view);
    default: {
      const { contentType, body } =
        await scrapes[acceptsOpenMetrics(request.headers.accept) ? "openmetrics" : "prometheus"].get();
      return { status: 200, contentType, body };
    }
  }
}

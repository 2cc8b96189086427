import type { Logger } from "pino";
import { type Address, formatAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { openFilesLimit } from "../core/open-files.ts";
import { controlShare } from "../net/connection-budget.ts";
import { Listener } from "../net/listener.ts";
import { logLevels } from "../observability/log.ts";
import { acceptsOpenMetrics } from "../observability/open-metrics.ts";
import { AdminGate } from "./admin-gate.ts";
import { adminPage } from "./admin-page.ts";
import type { AdminAccess } from "./admin-secrets.ts";
import type { ControlListener } from "./control-listener.ts";
import { HostGuard } from "./host-guard.ts";
import { type HttpAnswer, type HttpRequest, json, problem, quote } from "./http-answer.ts";
import { HttpFace } from "./http-face.ts";
import { liveAnswer, readyAnswer } from "./state-answers.ts";
import type { ControlView } from "./view.ts";

/** What the admin listener shows, and to whom. */
export interface AdminOptions {
  readonly view: ControlView;
  /** `admin.hosts` now in force: names besides its own address and localhost by which it may be asked. */
  readonly hosts: () => readonly string[];
  /** Who may ask; without it whoever reaches the listener. */
  readonly access?: () => AdminAccess;
  readonly clock: Clock;
  readonly log: Logger;
}

/** People and their scripts; a browser opens six connections. */
const MAX_CONNECTIONS = 64;

interface Route {
  /** What it is, in a few words. */
  readonly about: string;
  readonly method: "GET" | "POST";
  readonly answer: (view: ControlView, request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;
}

const routes: Readonly<Record<string, Route>> = {
  "/": { about: "this page", method: "GET", answer: (view) => adminPage(view, reading) },
  "/ready": {
    about: "whether it may get calls, or what it waits for",
    method: "GET",
    answer: (view) => readyAnswer(view),
  },
  "/live": { about: "whether it works at all", method: "GET", answer: (view) => liveAnswer(view) },
  "/metrics": {
    about: "metrics for Prometheus",
    method: "GET",
    answer: (view, { headers }) => metricsAnswer(view, headers.accept),
  },
  "/config": {
    about: "the configuration in force, secrets left out",
    method: "GET",
    answer: (view) => json(200, view.config()),
  },
  "/clusters": {
    about: "upstreams, their endpoints and states",
    method: "GET",
    answer: async (view) => json(200, await view.clusters()),
  },
  "/connections": {
    about: "connections of callers and to endpoints",
    method: "GET",
    answer: async (view) => json(200, await view.connections()),
  },
  "/explain": {
    about: "the last calls; with ?id=CALL-ID or TRACE-ID why one went as it did; ?failed for those that failed",
    method: "GET",
    answer: (view, { query }) => explainAnswer(view, query),
  },
  "/drain": { about: "end without losing a call", method: "POST", answer: drain },
  "/quit": { about: "end now", method: "POST", answer: quit },
  "/log-level": { about: 'log more or less, by {"level": …}', method: "POST", answer: logLevel },
};

const reading: ReadonlyMap<string, string> = new Map(
  Object.entries(routes).flatMap(([path, { method, about }]) =>
    method === "GET" && path !== "/" ? [[path, about]] : [],
  ),
);

const ANYBODY: AdminAccess = { token: undefined, tokenFile: undefined, tls: undefined };

/** Binds the listener for people. Rejects with a BindError, or where a file cannot be read that says who may ask. */
export async function startAdmin(address: Address, options: AdminOptions): Promise<ControlListener> {
  const { view, hosts, access = () => ANYBODY, clock, log } = options;
  const gate = new AdminGate(access, clock, log);
  await gate.prepare();
  const answer = (request: HttpRequest) => answerTo(request, new HostGuard(address, hosts()), gate, view);
  const face = new HttpFace({ clock, log, keepAlive: true, answer });
  const most = controlShare(openFilesLimit(), MAX_CONNECTIONS);
  const listener = await Listener.bind(
    address,
    { limits: { maxConnections: most } },
    {
      onConnection: (socket) => gate.take(socket, (taken) => face.accept(taken)),
      onRefused: () => log.debug({ most }, "admin: a connection over the limit was closed"),
      onError: (error) => log.warn({ err: error }, "admin: a connection could not be taken"),
    },
  );
  log.debug({ address: formatAddress(listener.address) }, "admin is bound");
  return { address: listener.address, close: () => listener.close() };
}

async function answerTo(
  request: HttpRequest,
  guard: HostGuard,
  gate: AdminGate,
  view: ControlView,
): Promise<HttpAnswer> {
  const refusal = guard.refusal(request);
  if (refusal !== undefined) return problem(403, refusal);
  const denied = await gate.refusal(request);
  if (denied !== undefined) return denied;
  const route = Object.hasOwn(routes, request.path) ? routes[request.path] : undefined;
  if (route === undefined) {
    const known = Object.keys(routes).join(", ");
    return problem(404, `there is no ${quote(request.path)} here; there are ${known}`);
  }
  const allowed = route.method === "GET" ? ["GET", "HEAD"] : [route.method];
  if (!allowed.includes(request.method))
    return problem(405, `${request.path} takes ${route.method}, not ${quote(request.method)}`, {
      allow: allowed.join(", "),
    });
  if (route.method === "POST") {
    const change = guard.changeRefusal(request);
    if (change !== undefined) return problem(change.status, change.error);
  }
  return await route.answer(view, request);
}

async function metricsAnswer(view: ControlView, accept: string | undefined): Promise<HttpAnswer> {
  const { contentType, text } = await view.metrics(acceptsOpenMetrics(accept) ? "openmetrics" : "prometheus");
  return { status: 200, contentType, body: text };
}

/** Calls that are listed where none is named. */
const LISTED = 50;

async function explainAnswer(view: ControlView, query: URLSearchParams): Promise<HttpAnswer> {
  const id = query.get("id");
  if (id === null) return json(200, { calls: await view.latestCalls(LISTED, query.has("failed")) });
  const explanations = await view.explain(id);
  if (explanations.length > 0) return json(200, { explanations });
  return problem(404, `no call ${quote(id)} is remembered: ids and trace ids of the last calls are listed by /explain`);
}

function drain(view: ControlView, { body }: HttpRequest): HttpAnswer {
  if (parseBody(body, []) === undefined) return problem(400, "the body, where there is one, is {}");
  return { ...json(202, { draining: true }), after: () => view.drain() };
}

function quit(view: ControlView, { body }: HttpRequest): HttpAnswer {
  if (parseBody(body, []) === undefined) return problem(400, "the body, where there is one, is {}");
  return { ...json(202, { quitting: true }), after: () => view.quit() };
}

function logLevel(view: ControlView, { body }: HttpRequest): HttpAnswer {
  const wanted = parseBody(body, ["level"])?.level;
  const level = logLevels.find((name) => name === wanted);
  if (level === undefined) return problem(400, `the body is {"level": LEVEL}, with one of ${logLevels.join(", ")}`);
  view.setLogLevel(level);
  return json(200, { level });
}

/** An object with no other keys than those; undefined where the body is something else. No body is an empty object. */
function parseBody(body: string, keys: readonly string[]): Readonly<Record<string, unknown>> | undefined {
  if (body.trim() === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  return entries.every(([key]) => keys.includes(key)) ? Object.fromEntries(entries) : undefined;
}

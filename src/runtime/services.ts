import { defaultKeepalive, type KeepaliveSettings } from "../cluster/pool/keepalive.ts";
import type { Config } from "../config/types.ts";
import type { Clock } from "../core/clock.ts";
import { Deadlines } from "../core/deadlines.ts";
import { openFilesLimit } from "../core/open-files.ts";
import { Authorization } from "../filters/authorization.ts";
import { ExternalAuthorization } from "../filters/external/external-authorization.ts";
import { Faults } from "../filters/faults.ts";
import { HopelessCalls } from "../filters/hopeless.ts";
import { Tokens } from "../filters/jwt/tokens.ts";
import { Callers } from "../http/callers.ts";
import { HeadFilter } from "../http/head-edit.ts";
import { HeaderTable } from "../http/headers.ts";
import type { Direction } from "../http/reason.ts";
import { statusOf } from "../http/status-words.ts";
import type { Http2Services } from "../http2/connection.ts";
import { FlushLoop } from "../http2/flush-loop.ts";
import { Pacing } from "../http2/pacing.ts";
import { Unread } from "../http2/unread.ts";
import { BandwidthLimits } from "../limits/bandwidth/limits.ts";
import { ConcurrencyLimits } from "../limits/concurrency-limits.ts";
import type { LeaseStore } from "../limits/lease-store.ts";
import { Overload } from "../limits/overload/overload.ts";
import { type Resources, systemResources } from "../limits/overload/resources.ts";
import { RateLimits } from "../limits/rate-limits.ts";
import { ConnectionBudget, connectionShare } from "../net/connection-budget.ts";
import { AccessLog, type AccessRules } from "../observability/access-log.ts";
import { Decisions } from "../observability/explain/decisions.ts";
import { Explanations } from "../observability/explain/explanations.ts";
import type { Log } from "../observability/log.ts";
import { Metrics } from "../observability/metrics.ts";
import { Tracer } from "../observability/tracing/tracer.ts";
import { registerTracingMetrics } from "../observability/tracing/tracing-metrics.ts";
import { registerUnreadMetrics } from "../observability/unread-metrics.ts";
import { registerWaitingMetrics } from "../observability/waiting-metrics.ts";
import { ExplainCallers } from "../proxy/explain-trailer.ts";
import { FairRoom } from "../proxy/fair-room.ts";
import { LocalReply } from "../proxy/local-reply.ts";
import { RequestTrailers } from "../proxy/request-trailers.ts";
import type { ExchangeServices } from "../proxy/services.ts";
import { externalOptions } from "./authorization-service.ts";
import { CallerConnections } from "./caller-connections.ts";

/** Octets of a request that are kept until its answer begins, as gRFC A6 has it by default for one call. */
const REPLAY = 65_536;

/** What the parts of a process share. Made once, never replaced by a new configuration. */
export interface ProcessServices {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly accessLog: AccessLog;
  readonly explanations: Explanations;
  readonly explainCallers: ExplainCallers;
  readonly tracer: Tracer;
  readonly http2: Http2Services;
  /** Of every connection, whoever opened it. */
  readonly keepalive: { -readonly [key in keyof KeepaliveSettings]: KeepaliveSettings[key] };
  readonly deadlines: Deadlines;
  readonly rateLimits: RateLimits;
  readonly tokens: Tokens;
  readonly trailers: Readonly<Record<Direction, RequestTrailers>>;
  readonly authorization: Authorization;
  readonly external: ExternalAuthorization;
  readonly faults: Faults;
  readonly hopeless: HopelessCalls;
  readonly concurrency: ConcurrencyLimits;
  readonly bandwidth: BandwidthLimits;
  /** What all listeners for calls may have open together. */
  readonly connections: ConnectionBudget;
  /** What this thread does while it, or the process, comes near the end of what it has. */
  readonly overload: Overload;
  readonly callerConnections: Readonly<Record<Direction, CallerConnections>>;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly exchange: (identity: () => string, direction: Direction) => ExchangeServices;
}

/** What a thread that carries calls has. */
export interface ThreadOptions {
  /** Absent: the rate limits of all are held here, and not in another thread. */
  readonly leases?: LeaseStore;
  /** Has the thread sleep for so many milliseconds. Absent: it works without a pause however many calls there are. */
  readonly rest?: (ms: number) => void;
  /** What is watched; absent: what the process and the thread use. */
  readonly resources?: Resources;
}

/** Makes what every call of a thread is carried with. */
export function makeServices(
  clock: Clock,
  log: Log,
  config: Config,
  version: string,
  thread: ThreadOptions = {},
): ProcessServices {
  const headers = new HeaderTable();
  const loop = new FlushLoop(clock, thread.rest === undefined ? undefined : new Pacing(thread.rest));
  const deadlines = new Deadlines(clock);
  const room = new FairRoom();
  const callers = { inbound: new Callers("inbound"), outbound: new Callers("outbound") };
  const decisions = new Decisions(config.explain.calls, loop);
  const explanations = new Explanations(decisions, clock, Math.random);
  const explainCallers = new ExplainCallers();
  explainCallers.set(config.explain.callers);
  const overload = new Overload(config.overload, thread.resources ?? systemResources(clock), () => clock.wall());
  const tracer = new Tracer({
    clock,
    log: log.logger,
    random: Math.random,
    service: config.identity.name,
    version,
    idOf: (call) => explanations.idOf(call),
  });
  tracer.apply(config.tracing);
  const metrics = new Metrics(version, clock);
  registerTracingMetrics(metrics.registry, tracer);
  const unread = new Unread(loop);
  registerUnreadMetrics(metrics.registry, unread);
  registerWaitingMetrics(metrics.registry, room);
  metrics.options = config.metrics;
  const edits = {
    foreign: new HeadFilter(headers, (name) => name.startsWith("outrigger-")),
    consumed: new HeadFilter(headers, (name) => name === "outrigger-unprocessed"),
  };
  const trailers = { inbound: new RequestTrailers(headers), outbound: new RequestTrailers(headers) };
  return {
    clock,
    log,
    metrics,
    trailers,
    accessLog: new AccessLog(log.calls, accessOf(config), {
      now: () => loop.now(),
      random: Math.random,
      idOf: (call) => explanations.idOf(call),
    }),
    explanations,
    explainCallers,
    tracer,
    http2: { clock, loop, headers, unread },
    keepalive: { ...defaultKeepalive, timeout: config.keepalive.timeout },
    connections: new ConnectionBudget(connectionShare(openFilesLimit(), config.workers)),
    overload,
    callerConnections: {
      inbound: new CallerConnections(config.connections.inbound, clock, Math.random),
      outbound: new CallerConnections(config.connections.outbound, clock, Math.random),
    },
    bandwidth: new BandwidthLimits(clock),
    concurrency: new ConcurrencyLimits(() => loop.now(), Math.random),
    deadlines,
    tokens: new Tokens({ clock, headers }),
    authorization: new Authorization(loop, log.logger),
    external: new ExternalAuthorization({
      time: loop,
      clock,
      headers,
      log: log.logger,
      idOf: (call) => explanations.idOf(call),
    }),
    faults: new Faults(deadlines, loop, Math.random, log.logger),
    hopeless: new HopelessCalls(),
    rateLimits: new RateLimits(clock, () => loop.now(), log.logger, Math.random, thread.leases),
    random: Math.random,
    exchange: (identity, direction) => ({
      loop,
      headers,
      deadlines,
      room,
      callers: callers[direction],
      explanations,
      explainCallers,
      tracer,
      edits,
      trailers: trailers[direction],
      reply: new LocalReply(headers, identity, direction),
      log: log.logger,
      get replay() {
        return overload.keepsBodies ? REPLAY : 0;
      },
    }),
  };
}

/** What the parts of a process take from another configuration. */
export function applyToServices(services: ProcessServices, before: Config, config: Config): void {
  const { log, accessLog, metrics, keepalive, explanations, explainCallers, tracer } = services;
  // Whoever changed the level by admin keeps it until the file says another one.
  if (before.log.level !== config.log.level) log.setLevel(config.log.level);
  log.format = config.log.format;
  accessLog.rules = accessOf(config);
  metrics.options = config.metrics;
  keepalive.timeout = config.keepalive.timeout;
  services.callerConnections.inbound.apply(config.connections.inbound);
  services.callerConnections.outbound.apply(config.connections.outbound);
  applyLimits(services, config);
  explainCallers.set(config.explain.callers);
  explanations.decisions.resize(config.explain.calls);
  tracer.apply(config.tracing);
}

function accessOf({ log: { access, sampling, slow, limit, redact } }: Config): AccessRules {
  return { mode: access, sampling, slow, limit, redact };
}

/** The rules, the limits and the faults of a configuration, under what they have counted and learned so far. */
export function applyLimits(
  {
    trailers,
    tokens,
    authorization,
    external,
    rateLimits,
    concurrency,
    bandwidth,
    overload,
    faults,
    hopeless,
  }: ProcessServices,
  config: Config,
): void {
  const { rateLimits: rates, service, upstreams, faults: injected, deadlines, authorization: rules, jwt } = config;
  overload.options = config.overload;
  const claims = [...(jwt?.providers.values() ?? [])].flatMap((provider) => [...provider.claims.keys()]);
  trailers.inbound.reserve([...claims, ...(rules?.external?.reserved ?? [])]);
  tokens.apply(jwt);
  authorization.apply(rules);
  external.apply(rules?.external && externalOptions(rules.external));
  faults.apply(injected.map((fault) => ({ ...fault, abort: fault.abort && statusOf(fault.abort) })));
  hopeless.enabled = deadlines.refuseHopeless === "onRequest";
  rateLimits.apply(rates);
  bandwidth.apply("inbound", new Map(service && [[service.name, service.bandwidth]]));
  bandwidth.apply("outbound", new Map([...upstreams].map(([name, upstream]) => [name, upstream.bandwidth])));
  concurrency.apply("inbound", new Map(service && [[service.name, service.adaptiveConcurrency]]));
  concurrency.apply(
    "outbound",
    new Map([...upstreams].map(([name, upstream]) => [name, upstream.adaptiveConcurrency])),
  );
}

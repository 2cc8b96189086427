import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig } from "../../src/config/load.ts";
import { formatAddress } from "../../src/core/address.ts";
import type { Connection } from "../../src/http2/connection.ts";
import { createLog } from "../../src/observability/log.ts";
import type { ExchangeServices } from "../../src/proxy/services.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { makeServices, type ThreadOptions } from "../../src/runtime/services.ts";
import { JumpClock } from "./jump-clock.ts";
import { type Family, parseMetrics, sampleValue } from "./prometheus.ts";

/** A line of the log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface SidecarConfig {
  readonly identity?: { readonly name: string };
  readonly service?: Readonly<Record<string, unknown>>;
  readonly listeners?: Readonly<Record<string, string>>;
  readonly connections?: Readonly<Record<string, unknown>>;
  readonly names?: Readonly<Record<string, unknown>>;
  readonly discovery?: Readonly<Record<string, unknown>>;
  readonly mtls?: Readonly<Record<string, unknown>>;
  readonly upstreams?: Readonly<Record<string, unknown>>;
  readonly rateLimits?: readonly Readonly<Record<string, unknown>>[];
  readonly authorization?: Readonly<Record<string, unknown>>;
  readonly jwt?: Readonly<Record<string, unknown>>;
  readonly faults?: readonly object[];
  readonly routes?: readonly object[];
  readonly deadlines?: Readonly<Record<string, unknown>>;
  readonly log?: Readonly<Record<string, unknown>>;
  readonly drain?: Readonly<Record<string, unknown>>;
  readonly explain?: Readonly<Record<string, unknown>>;
  readonly tracing?: Readonly<Record<string, unknown>>;
  readonly metrics?: Readonly<Record<string, unknown>>;
  readonly overload?: Readonly<Record<string, unknown>>;
  readonly capture?: Readonly<Record<string, unknown>>;
}

/** With what a configuration leaves out: 127.0.0.1:0, `health: none`, and an access log of all calls. */
export function wholeConfig(config: SidecarConfig): object {
  const loopback = "127.0.0.1:0";
  const listeners = { inbound: loopback, outbound: loopback, admin: loopback, probe: loopback, ...config.listeners };
  return {
    ...config,
    listeners: config.service === undefined ? without(listeners, "inbound") : listeners,
    ...(config.service === undefined ? {} : { service: { health: "none", ...config.service } }),
    log: { level: "debug", access: "all", ...config.log },
  };
}

/** Milliseconds in which a sidecar has to come to rest once its callers are gone. */
const REST = 2000;

/** A sidecar in this process, over real sockets. */
export class Sidecar {
  readonly runtime: Runtime;
  readonly clock: JumpClock;
  readonly lines: LogLine[];

  private constructor(runtime: Runtime, clock: JumpClock, lines: LogLine[]) {
    this.runtime = runtime;
    this.clock = clock;
    this.lines = lines;
  }

  /** Starts one; see `wholeConfig`. */
  static async start(config: SidecarConfig, thread: ThreadOptions = {}): Promise<Sidecar> {
    const text = JSON.stringify(wholeConfig(config));
    const loaded = loadConfig(text, { file: "test.yaml", env: {} });
    assert.ok(loaded.ok, `the configuration is broken: ${JSON.stringify(loaded)} ${text}`);
    const clock = new JumpClock();
    const lines: LogLine[] = [];
    const log = createLog({
      service: loaded.config.identity.name,
      version: "test",
      level: loaded.config.log.level,
      clock,
      sink: { write: (line) => void lines.push(JSON.parse(line)) },
    });
    const services = makeServices(clock, log, loaded.config, "test", thread);
    const runtime = new Runtime({
      config: loaded.config,
      services,
      version: "test",
      podIp: undefined,
      otherListeners: () => [],
    });
    try {
      await runtime.start();
    } catch (error) {
      await runtime.stop();
      throw error;
    }
    return new Sidecar(runtime, clock, lines);
  }

  get inbound(): string {
    const { inbound } = this.runtime.listeners;
    assert.ok(inbound !== undefined, "the sidecar has no inbound listener");
    return formatAddress(inbound.listener.address);
  }

  get outbound(): string {
    return this.listenerOf("outbound");
  }

  /** The listener of its own of an upstream. */
  listen(upstream: string): string {
    return this.listenerOf(`upstreams.${upstream}`);
  }

  /** Lines of the access log. */
  get calls(): LogLine[] {
    return this.lines.filter(({ msg }) => msg === "call");
  }

  /** The access log's line number `at`, waited for. */
  async call(at = 0): Promise<LogLine> {
    await eventually(
      () => this.calls.length > at,
      () => `line ${at} of the access log; there are ${this.calls.length}`,
    );
    return this.calls[at] ?? {};
  }

  async metrics(): Promise<Map<string, Family>> {
    return parseMetrics((await this.runtime.services.metrics.scrape()).text);
  }

  /** How many calls ended so. */
  async handled(labels: Readonly<Record<string, string>>): Promise<number> {
    return sampleValue(await this.metrics(), "outrigger_calls_handled_total", labels) ?? 0;
  }

  /** Waiting room and deadlines, which all exchanges share. */
  get shared(): ExchangeServices {
    return this.runtime.services.exchange(() => "test", "outbound");
  }

  /** Every HTTP/2 connection that stands, accepted and dialled. */
  *connections(): IterableIterator<Connection> {
    const { listeners, upstreams, application } = this.runtime;
    for (const { acceptor } of listeners.all()) for (const { connection } of acceptor.connections) yield connection;
    const clusters = [...upstreams.clusters(), ...(application === undefined ? [] : [application.cluster])];
    for (const cluster of clusters) {
      for (const { pool } of cluster.endpoints) {
        const members: unknown = Reflect.get(pool, "members");
        assert.ok(members instanceof Set, "a pool has members");
        for (const { connection } of members) if (connection !== undefined) yield connection;
      }
    }
  }

  /** What keeps it from being at rest: calls, streams, octets that are held, deadlines; empty where nothing does. */
  unrest(): string[] {
    const { room, deadlines } = this.shared;
    const { upstreams, application } = this.runtime;
    const found: string[] = [];
    const note = (count: number, what: string): void => {
      if (count !== 0) found.push(`${count} ${what}`);
    };
    note(room.calls, "calls in the waiting room");
    note(room.octets, "octets in the waiting room");
    note(deadlines.armed, "deadlines are armed");
    for (const cluster of [...upstreams.clusters(), ...(application === undefined ? [] : [application.cluster])])
      note(cluster.activeCalls, `attempts at ${cluster.name}`);
    for (const connection of this.connections())
      if (!connection.atRest)
        found.push(`a ${connection.role} connection is not at rest: ${connection.activeStreams} streams or a window`);
    return found;
  }

  /** Waits until nothing is under way; callers may still be connected. */
  async rest(): Promise<void> {
    await eventually(
      () => this.unrest().length === 0,
      () => `rest: ${this.unrest().join(", ")}`,
      REST,
    );
  }

  /** Stops it, and fails where anything is left. */
  async stop(): Promise<void> {
    const unrest = await this.rest().catch(asError);
    const faults = this.lines.filter(({ level }) => level === "error" || level === "fatal");
    await this.runtime.stop();
    // A closing connection gives its peer a second to read; that is not a leak.
    this.clock.jump(5000);
    const pending = () => this.clock.pending;
    await eventually(
      () => pending().length === 0,
      () => `a timer is still armed: ${pending().join("\n")}`,
    );
    if (unrest !== undefined) throw unrest;
    assert.deepEqual(faults, [], "faults in the log");
  }

  private listenerOf(name: string): string {
    const found = this.runtime.listeners.outbound.find((bound) => bound.name === name);
    assert.ok(found !== undefined, `the sidecar has no listener ${name}`);
    return formatAddress(found.listener.address);
  }
}

/** What a test has started: ended in the reverse order, whatever became of the test. */
export class Scope {
  private readonly ends: (() => Promise<void> | void)[] = [];

  /** Ends something at the end of the test. */
  onEnd(end: () => Promise<void> | void): void {
    this.ends.push(end);
  }

  /** Starts a sidecar that has to be at rest when the test is over. */
  async sidecar(config: SidecarConfig, thread: ThreadOptions = {}): Promise<Sidecar> {
    const sidecar = await Sidecar.start(config, thread);
    this.onEnd(() => sidecar.stop());
    return sidecar;
  }

  async end(): Promise<unknown[]> {
    const problems: unknown[] = [];
    for (const end of this.ends.reverse()) {
      try {
        await end();
      } catch (error) {
        problems.push(error);
      }
    }
    return problems;
  }
}

/** Runs a test with a scope of its own. What is left behind fails a test that has passed. */
export async function inScope(body: (scope: Scope) => Promise<void>): Promise<void> {
  const scope = new Scope();
  let failed = true;
  try {
    await body(scope);
    failed = false;
  } finally {
    const problems = await scope.end();
    if (!failed && problems.length > 0) await Promise.reject(problems[0]);
  }
}

/** Waits for a condition. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: () => string,
  patience = 5000,
): Promise<void> {
  const end = performance.now() + patience;
  while (!(await condition())) {
    if (performance.now() > end) assert.fail(`not within ${patience} ms: ${what()}`);
    await sleep(2);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function without<T extends object>(from: T, key: keyof T): Partial<T> {
  const rest: Partial<T> = { ...from };
  delete rest[key];
  return rest;
}

import { type Logger, pino } from "pino";
import { clip } from "../core/clip.ts";
import type { Clock } from "../core/clock.ts";
import { ecsLine } from "./ecs.ts";
import { describeError } from "./log-error.ts";

/** What `log.level` may say, the most talkative first. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** From which level on lines are written. */
export type LogLevel = (typeof logLevels)[number];

/** What `log.format` may say. */
export const logFormats = ["json", "ecs"] as const;

/** Names of fields: our own, or those of the Elastic Common Schema. */
export type LogFormat = (typeof logFormats)[number];

/** What lines say of themselves, and where they go. */
export interface LogOptions {
  /** Name of the service beside this sidecar, or how a caller-only sidecar is called. */
  readonly service: string;
  readonly version: string;
  readonly level: LogLevel;
  /** Default `json`. */
  readonly format?: LogFormat;
  readonly clock: Clock;
  /** Takes complete lines, see LogSink. */
  readonly sink: { write(line: string): void };
}

/** Characters of a field: a SPIFFE id may have 2,048. Callers and peers choose what some of them say. */
const LONGEST_FIELD = 2048;
/** Characters of a message: that of a refused configuration has all that is wrong with it. */
const LONGEST_MESSAGE = 65_536;

/** The log of a process: JSON, a line an event. */
export interface Log {
  /** For everybody; its children follow the level of the whole. */
  readonly logger: Logger;
  /** For the lines of calls: it has its own switch, so the level does not touch it unless it is `silent`. */
  readonly calls: Logger;
  readonly level: LogLevel;
  /** May be changed at any time. */
  format: LogFormat;
  setLevel(level: LogLevel): void;
}

/**
 * Makes the log. Lines are `{"level":"info","time":"2026-01-01T00:00:00.000Z","service":…,"version":…,…,"msg":…}`; an error
 * stands under `err`.
 */
export function createLog(options: LogOptions): Log {
  const { clock } = options;
  let format = options.format ?? "json";
  const sink = {
    write: (line: string): void => options.sink.write(format === "ecs" ? ecsLine(line) : line),
  };
  const children = new Children();
  const make = (level: LogLevel): Logger =>
    pino(
      {
        level,
        base: { service: options.service, version: options.version },
        timestamp: () => `,"time":"${new Date(clock.wall()).toISOString()}"`,
        formatters: { level: (label) => ({ level: label }), log: clipped },
        hooks: {
          logMethod(args, method) {
            const at = args.findIndex((arg) => typeof arg === "string");
            const message: unknown = args[at];
            if (typeof message === "string") args[at] = clip(message, LONGEST_MESSAGE);
            method.apply(this, args);
          },
        },
        serializers: { err: describeError },
        onChild: (child) => children.add(child),
      },
      sink,
    );
  let { level } = options;
  const logger = make(level);
  const calls = make(callLevel(level));
  return {
    logger,
    calls,
    get format() {
      return format;
    },
    set format(next) {
      format = next;
    },
    get level() {
      return level;
    },
    setLevel(next) {
      level = next;
      logger.level = next;
      calls.level = callLevel(next);
      children.setLevel(next);
    },
  };
}

/** Fields whose texts are bounded, whoever chose them. */
function clipped(fields: Record<string, unknown>): Record<string, unknown> {
  let bounded = fields;
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== "string" || value.length <= LONGEST_FIELD) continue;
    if (bounded === fields) bounded = { ...fields };
    bounded[name] = clip(value, LONGEST_FIELD);
  }
  return bounded;
}

function callLevel(level: LogLevel): LogLevel {
  return level === "silent" ? "silent" : "info";
}

/** Loggers made of another one copy its level once; these follow it, for as long as anybody holds them. */
class Children {
  private readonly all = new Set<WeakRef<Logger>>();
  private readonly registry = new FinalizationRegistry<WeakRef<Logger>>((gone) => this.all.delete(gone));

  add(child: Logger): void {
    const reference = new WeakRef(child);
    this.all.add(reference);
    this.registry.register(child, reference);
  }

  setLevel(level: LogLevel): void {
    for (const reference of this.all) {
      const child = reference.deref();
      if (child !== undefined) child.level = level;
    }
  }
}

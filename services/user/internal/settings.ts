import { hostname } from "node:os";
import { parseArgs } from "node:util";

/** What the flags and the environment say; see `USAGE` for each. */
export interface Settings {
  readonly listen: string;
  readonly database: string;
  readonly databaseConnections: number;
  readonly instance: string;
  readonly maxMessageBytes: number;
  readonly maxConcurrentStreams: number | undefined;
  readonly maxConnectionAgeMs: number | undefined;
  readonly graceMs: number;
  readonly logLevel: string;
}

/** A wrong flag or variable; the message names it. */
export class SettingsError extends Error {}

/** What `--help` prints. */
export const USAGE = `usage: node main.ts [flags]

A gRPC server of user.v1.UserService. Each flag has an environment variable of the same meaning; the flag wins.

  --listen ADDRESS             LISTEN                  HOST:PORT or unix:PATH (default 127.0.0.1:50051; port 0: any)
  --database LOCATION          DATABASE                :memory: (default), a file, sqlite:PATH or
                                                       postgres://USER:PASSWORD@HOST:PORT/NAME
  --database-connections N     DATABASE_CONNECTIONS    connections to PostgreSQL for calls (default 10)
  --instance NAME              INSTANCE_ID             what the metadata user-instance says (default HOST-PID)
  --max-message-bytes N        MAX_MESSAGE_BYTES       limit of one message (default 134217728; -1: none)
  --max-concurrent-streams N   MAX_CONCURRENT_STREAMS  calls at once on one connection (default: no limit)
  --max-connection-age MS      MAX_CONNECTION_AGE_MS   after which callers are asked to connect anew (default: never)
  --grace MS                   GRACE_MS                how long a stop waits for calls (default 10000)
  --log-level LEVEL            LOG_LEVEL               trace, debug, info (default), warn, error, fatal or silent
  --help
`;

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];
const MAX_MS = 2 ** 31 - 1;

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings that flags and environment give, or "help". Throws a SettingsError. */
export function readSettings(args: readonly string[], env: Environment): Settings | "help" {
  const flags = parse(args);
  if (flags.help) return "help";
  const value = (flag: Exclude<keyof typeof flags, "help">, variable: string): string | undefined =>
    flags[flag] ?? (env[variable] || undefined);
  const streams = value("max-concurrent-streams", "MAX_CONCURRENT_STREAMS");
  const age = value("max-connection-age", "MAX_CONNECTION_AGE_MS");
  const logLevel = value("log-level", "LOG_LEVEL") ?? "info";
  if (!LEVELS.includes(logLevel)) throw new SettingsError(`log level "${logLevel}" is none of ${LEVELS.join(", ")}`);
  return {
    listen: value("listen", "LISTEN") ?? "127.0.0.1:50051",
    database: value("database", "DATABASE") ?? ":memory:",
    databaseConnections: integer(
      "database connections",
      value("database-connections", "DATABASE_CONNECTIONS") ?? "10",
      1,
    ),
    instance: instanceName(value("instance", "INSTANCE_ID") ?? `${hostname()}-${process.pid}`),
    maxMessageBytes: integer("max message bytes", value("max-message-bytes", "MAX_MESSAGE_BYTES") ?? "134217728", -1),
    maxConcurrentStreams: streams === undefined ? undefined : integer("max concurrent streams", streams, 1),
    maxConnectionAgeMs: age === undefined ? undefined : integer("max connection age", age, 1),
    graceMs: integer("grace", value("grace", "GRACE_MS") ?? "10000", 0),
    logLevel,
  };
}

function parse(args: readonly string[]) {
  const string = { type: "string" } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        listen: string,
        database: string,
        "database-connections": string,
        instance: string,
        "max-message-bytes": string,
        "max-concurrent-streams": string,
        "max-connection-age": string,
        grace: string,
        "log-level": string,
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new SettingsError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function integer(name: string, text: string, min: number): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && value >= min && value <= MAX_MS) return value;
  throw new SettingsError(`${name} is "${text}", expected a whole number from ${min} to ${MAX_MS}`);
}

/** Metadata carry printable ASCII only. */
function instanceName(name: string): string {
  if (/^[!-~]{1,128}$/.test(name)) return name;
  throw new SettingsError(`instance is "${name}", expected 1 to 128 printable ASCII characters without spaces`);
}

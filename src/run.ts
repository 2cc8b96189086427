import { formatIssues } from "./config/format-issues.ts";
import { loadConfig } from "./config/load.ts";
import { RuntimeView } from "./control/runtime-view.ts";
import { type ControlServers, startControl } from "./control/servers.ts";
import type { ControlView } from "./control/view.ts";
import { type Address, formatAddress } from "./core/address.ts";
import { systemClock } from "./core/clock.ts";
import { pastEarlyEnd } from "./core/early-end.ts";
import { rest } from "./core/rest.ts";
import { version } from "./core/version.ts";
import { createLog, type Log } from "./observability/log.ts";
import { LogSink, nonBlocking } from "./observability/log-sink.ts";
import { Reload } from "./reload.ts";
import { Parenthood } from "./runtime/parenthood.ts";
import { Runtime } from "./runtime/runtime.ts";
import { makeServices } from "./runtime/services.ts";
import { Shutdown } from "./runtime/shutdown.ts";
import type { Crew } from "./workers/crew.ts";

/** What the sidecar is started with. */
export interface RunInput {
  readonly file: string;
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The application, where this sidecar is to start it: a program and its arguments. */
  readonly command?: readonly string[];
  /** Milliseconds for getting ready before the command is given up; 2 min by default. */
  readonly patience?: number;
}

const PATIENCE = 120_000;

/** How standard input is named where a file would be. */
export const STDIN = "<stdin>";
/** Milliseconds for the last log lines. */
const FLUSH = 500;

/**
 * The sidecar in the foreground, until it is asked to go. Resolves with the exit code: 0 drained or quit, 1 cannot bind,
 * 2 configuration, 130 after a second signal;
 * with a command that of the command.
 */
export async function run({ file, text, env, command, patience = PATIENCE }: RunInput): Promise<number> {
  const loaded = loadConfig(text, { file, env });
  if (!loaded.ok) {
    process.stderr.write(formatIssues(loaded.issues, file, text));
    return 2;
  }
  const { config } = loaded;
  const sink = new LogSink({
    fd: nonBlocking(2),
    clock: systemClock,
    onDropped: (lines) => log.logger.warn({ lines }, "nobody read the log in time: lines were dropped"),
  });
  // As with the log: calls go on where nobody reads the ready line, has closed the pipe, or has no room for it.
  const output = new LogSink({ fd: nonBlocking(1), clock: systemClock });
  const log = createLog({
    service: config.identity.name,
    version,
    level: config.log.level,
    format: config.log.format,
    clock: systemClock,
    sink,
  });
  for (const warning of loaded.warnings)
    log.logger.warn({ line: warning.line, column: warning.column }, warning.message);
  lastResort(log, sink);

  const services = makeServices(systemClock, log, config, version, { rest });
  let control: ControlServers | undefined;
  const otherListeners = (): Address[] => (control === undefined ? [] : [control.admin, control.probe]);
  const options = { config, services, version, podIp: env.POD_IP, otherListeners };
  const { runtime, crew } =
    config.workers === 1
      ? { runtime: new Runtime(options), crew: undefined }
      : (await import("./workers/start-crew.ts")).makeCrew(options, script(), (line) => sink.write(line));
  const shutdown = new Shutdown(runtime, systemClock, log.logger);
  const parenthood =
    command && new Parenthood({ runtime, shutdown, clock: systemClock, log: log.logger, command, env, patience });
  for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) process.on(signal, () => shutdown.signal());
  // Not for a sidecar: they are its application's, and Node would take the first one for the wish for a debugger.
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) process.on(signal, () => runtime.child?.signal(signal));
  pastEarlyEnd();
  let code: number;
  let reload: Reload | undefined;
  // Before there is anything to reload, too: the default of this signal is to end the process.
  process.on("SIGHUP", () => {
    if (file === STDIN) log.logger.warn("the configuration came from standard input and cannot be read again");
    else void reload?.request();
  });
  try {
    // People and probes can ask from the first moment on, while the rest is still waited for.
    control = await startControl(runtime, shutdown, config, crew && (await crewView(runtime, shutdown, crew)));
    const started = runtime.start();
    // Whoever is asked to go while it starts goes; what becomes of the start is of no interest then.
    started.catch(() => {});
    await Promise.race([started, shutdown.code]);
    if (file !== STDIN && !runtime.draining)
      reload = new Reload({ file, text, env, runtime, clock: systemClock, log: log.logger });
    const { admin, probe } = control;
    // Standard output is the application's where there is one.
    if (parenthood !== undefined) await parenthood.begin();
    else
      void runtime.whenReady().then(() => {
        if (!runtime.draining) output.write(readyLine(runtime, { admin, probe }));
      });
    code = await shutdown.code;
  } catch (error) {
    log.logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    code = 1;
  }
  reload?.close();
  code = (await parenthood?.end(code)) ?? code;
  await runtime.stop();
  await control?.close();
  output.flushSync(0);
  sink.flushSync(FLUSH);
  return code;
}

/** The one line on standard output: what is bound, absent listeners left out. */
function readyLine(runtime: Runtime, control: { readonly admin: Address; readonly probe: Address }): string {
  const words = ["outrigger ready", `service=${runtime.config.identity.name}`];
  for (const { name, address } of runtime.listeners.bound()) words.push(`${name}=${formatAddress(address)}`);
  words.push(`admin=${formatAddress(control.admin)}`, `probe=${formatAddress(control.probe)}`);
  return `${words.join(" ")}\n`;
}

/** An error that nobody caught: it is told, and the process ends rather than go on in a state that nobody knows. */
function lastResort(log: Log, sink: LogSink): void {
  const die = (error: unknown): void => {
    log.logger.fatal({ err: error }, "a fault of our own that nobody caught");
    sink.flushSync(FLUSH);
    process.exit(1);
  };
  process.on("uncaughtException", die);
  process.on("unhandledRejection", die);
}

/** What the threads of this process run. */
function script(): string {
  const [, main] = process.argv;
  if (main === undefined) throw new Error("a program without a file has no workers");
  return main;
}

async function crewView(runtime: Runtime, shutdown: Shutdown, crew: Crew): Promise<ControlView> {
  const { CrewView } = await import("./workers/crew-view.ts");
  return new CrewView(new RuntimeView(runtime, shutdown, version), crew);
}

import { formatIssues } from "./config/format-issues.ts";
import { loadConfig } from "./config/load.ts";
import type { ShutdownRequests } from "./control/runtime-view.ts";
import { type ControlServers, startControl } from "./control/servers.ts";
import { type Address, formatAddress } from "./core/address.ts";
import { systemClock } from "./core/clock.ts";
import { version } from "./core/version.ts";
import { createLog, type Log } from "./observability/log.ts";
import { LogSink, nonBlocking } from "./observability/log-sink.ts";
import { Reload } from "./reload.ts";
import { Runtime } from "./runtime/runtime.ts";
import { makeServices } from "./runtime/services.ts";

export interface RunInput {
  readonly file: string;
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Milliseconds in which a signal counts once: Ctrl-C and a stopping cgroup send it to the launcher and to this process, and
 * the launcher passes its own on.
 */
const SAME_SIGNAL = 200;
/** How standard input is named where a file would be. */
export const STDIN = "<stdin>";
/** Milliseconds for the last log lines. */
const FLUSH = 500;

/**
 * The sidecar in the foreground, until it is asked to go. Resolves with the exit code: 0 drained or quit, 1 cannot bind,
 * 2 configuration, 130 after a second signal.
 */
export async function run({ file, text, env }: RunInput): Promise<number> {
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
  const log = createLog({ service: config.identity.name, version, level: config.log.level, clock: systemClock, sink });
  for (const warning of loaded.warnings)
    log.logger.warn({ line: warning.line, column: warning.column }, warning.message);
  lastResort(log, sink);

  const services = makeServices(systemClock, log, config, version);
  let control: ControlServers | undefined;
  const otherListeners = (): Address[] => (control === undefined ? [] : [control.admin, control.probe]);
  const runtime = new Runtime({ config, services, version, podIp: env.POD_IP, otherListeners });
  const shutdown = new Shutdown(runtime, log);
  process.on("SIGTERM", () => shutdown.signal());
  process.on("SIGINT", () => shutdown.signal());
  let code: number;
  let reload: Reload | undefined;
  // Before there is anything to reload, too: the default of this signal is to end the process.
  process.on("SIGHUP", () => {
    if (file === STDIN) log.logger.warn("the configuration came from standard input and cannot be read again");
    else void reload?.request();
  });
  try {
    // People and probes can ask from the first moment on, while the rest is still waited for.
    control = await startControl(runtime, shutdown, config);
    const started = runtime.start();
    // Whoever is asked to go while it starts goes; what becomes of the start is of no interest then.
    started.catch(() => {});
    await Promise.race([started, shutdown.code]);
    if (file !== STDIN && !runtime.draining)
      reload = new Reload({ file, text, env, runtime, clock: systemClock, log: log.logger });
    const { admin, probe } = control;
    void runtime.whenReady().then(() => process.stdout.write(readyLine(runtime, { admin, probe })));
    code = await shutdown.code;
  } catch (error) {
    log.logger.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    code = 1;
  }
  reload?.close();
  await runtime.stop();
  await control?.close();
  sink.flushSync(FLUSH);
  return code;
}

/** How the process is asked to go: a signal drains, a second one does not wait; admin may ask for either. */
class Shutdown implements ShutdownRequests {
  readonly code: Promise<number>;
  private readonly runtime: Runtime;
  private readonly log: Log;
  private finish: (code: number) => void = () => {};
  private signalledAt: number | undefined = undefined;

  constructor(runtime: Runtime, log: Log) {
    this.runtime = runtime;
    this.log = log;
    this.code = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  signal(): void {
    const now = systemClock.now();
    if (this.signalledAt === undefined) this.drain();
    else if (now - this.signalledAt > SAME_SIGNAL) this.finish(130);
    this.signalledAt ??= now;
  }

  drain(): void {
    const { logger } = this.log;
    this.runtime.drain().then(
      (cut) => {
        if (cut > 0) logger.warn({ cut }, `${cut} streams had not ended by the end of grace and were cut`);
        this.finish(0);
      },
      (error: unknown) => {
        logger.error({ err: error }, "cannot drain");
        this.finish(1);
      },
    );
  }

  quit(): void {
    this.log.logger.info("asked to quit");
    this.finish(0);
  }
}

/** The one line on standard output: what is bound, absent listeners left out. */
function readyLine(runtime: Runtime, control: { readonly admin: Address; readonly probe: Address }): string {
  const { inbound, outbound } = runtime.listeners;
  const words = ["outrigger ready", `service=${runtime.config.identity.name}`];
  if (inbound !== undefined) words.push(`inbound=${formatAddress(inbound.listener.address)}`);
  for (const { name, listener } of outbound) words.push(`${name}=${formatAddress(listener.address)}`);
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

import { setLogger } from "@grpc/grpc-js";
import { type Logger, pino } from "pino";
import { createUserServer, type UserServer } from "./internal/server.ts";
import { readSettings, type Settings, SettingsError, USAGE } from "./internal/settings.ts";
import { openRepository } from "./repository/open.ts";
import type { UserRepository } from "./repository/user.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

await main();

async function main(): Promise<void> {
  const settings = settingsOrExit();
  // Standard output carries the one line that says that the server is ready; logs go to standard error.
  const log = pino(
    { level: settings.logLevel, base: { instance: settings.instance } },
    pino.destination({ fd: 2, sync: true }),
  );
  // What grpc-js has to say comes as lines of its own format otherwise.
  setLogger({ error: (message: string) => log.warn({ source: "grpc-js" }, message) });
  try {
    await serve(settings, log);
  } catch (err) {
    log.fatal({ err }, "cannot start");
    process.exit(EXIT_FAILED);
  }
}

function settingsOrExit(): Settings {
  try {
    const settings = readSettings(process.argv.slice(2), process.env);
    if (settings !== "help") return settings;
    process.stdout.write(USAGE);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

async function serve(settings: Settings, log: Logger): Promise<void> {
  const repository = await openRepository(settings.database, { connections: settings.databaseConnections });
  const server = createUserServer({ ...settings, repository, log });
  const port = await server.listen(settings.listen);
  const address = settings.listen.replace(/:0$/, `:${port}`);
  log.info({ address }, "listening");
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    log.info({ signal }, stopping ? "told twice to stop" : "stopping");
    if (stopping) process.exit(EXIT_INTERRUPTED);
    stopping = true;
    void stop(server, repository, settings.graceMs, log);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  // Last: whoever reads it may ask it to stop at once.
  process.stdout.write(`user ready address=${address} instance=${settings.instance}\n`);
}

async function stop(server: UserServer, repository: UserRepository, graceMs: number, log: Logger): Promise<void> {
  try {
    const drained = await server.stop(graceMs);
    await repository.close();
    if (drained) log.info("stopped");
    else log.warn({ graceMs }, "stopped, calls that had not ended by then were cut");
    process.exit(0);
  } catch (err) {
    log.fatal({ err }, "cannot stop");
    process.exit(EXIT_FAILED);
  }
}

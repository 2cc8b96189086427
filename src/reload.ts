import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { formatIssues } from "./config/format-issues.ts";
import { loadConfig } from "./config/load.ts";
import { watchFile } from "./config/watch-file.ts";
import { systemClock } from "./core/clock.ts";
import type { Runtime } from "./runtime/runtime.ts";

export interface ReloadOptions {
  readonly file: string;
  /** The text that is in force. */
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly runtime: Runtime;
  readonly log: Logger;
}

/**
 * Offers the configuration file to the runtime whenever it has changed, and on SIGHUP. A file that is wrong changes nothing and
 * is told of once. Returns what ends it.
 */
export function reloadOnChange({ file, text, env, runtime, log }: ReloadOptions): () => void {
  let seen = text;
  const offer = async (because: string): Promise<void> => {
    let current: string;
    try {
      current = readFileSync(file, "utf8");
    } catch (error) {
      // While a file is replaced it may be missing for a moment; the watch tells when it is back.
      log.debug({ err: error }, `cannot read ${file}`);
      return;
    }
    if (current === seen && because !== "SIGHUP") return;
    seen = current;
    const loaded = loadConfig(current, { file, env });
    const result = loaded.ok
      ? await runtime.apply(loaded.config)
      : runtime.refuse(formatIssues(loaded.issues, file, current).trimEnd());
    if (result.kind === "refused")
      log.error({ file, because }, `the configuration was refused, nothing of it is in force: ${result.why}`);
    else if (result.kind === "unchanged") log.info({ file, because }, "the configuration says the same as before");
    else log.info({ file, because, config_version: result.version }, "the configuration was applied");
  };
  const onHangup = (): void => void offer("SIGHUP");
  process.on("SIGHUP", onHangup);
  const stop = watchFile(file, systemClock, () => void offer("the file changed"));
  return () => {
    process.off("SIGHUP", onHangup);
    stop();
  };
}

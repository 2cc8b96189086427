import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import { formatIssues } from "./config/format-issues.ts";
import type { Issue } from "./config/issue.ts";
import { loadConfig } from "./config/load.ts";
import type { Clock } from "./core/clock.ts";
import { watchFile } from "./core/watch-file.ts";
import type { ApplyResult, Runtime } from "./runtime/runtime.ts";

/** What is read again, and who takes it. */
export interface ReloadOptions {
  readonly file: string;
  /** The text that is in force. */
  readonly text: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly runtime: Pick<Runtime, "apply" | "refuse">;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Offers the configuration file to the runtime whenever it has changed, and whenever somebody asks for it. A file that is wrong
 * changes nothing and is told of once.
 */
export class Reload {
  private readonly options: ReloadOptions;
  private readonly stopWatching: () => void;
  private seen: string;
  /** Looks in a row at a file that could not be read. */
  private unreadable = 0;

  constructor(options: ReloadOptions) {
    this.options = options;
    this.seen = options.text;
    const { file, clock } = options;
    this.stopWatching = watchFile(file, clock, () => void this.look("the file changed"));
    // It may have changed since it was read for the first time.
    void this.look("the file changed");
  }

  /** SIGHUP: reads the file again, changed or not. */
  async request(): Promise<void> {
    await this.look("SIGHUP");
  }

  close(): void {
    this.stopWatching();
  }

  private async look(because: "SIGHUP" | "the file changed"): Promise<void> {
    const { file, log, runtime } = this.options;
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      // While a file is replaced it may be missing for a moment: only the next look, at most 2 s later, says that it is gone.
      if (because === "SIGHUP") this.tell(because, await runtime.refuse(`cannot read ${file}: ${String(error)}`));
      else if (++this.unreadable === 2)
        log.warn({ file, err: error }, `cannot read ${file} any more: what was read of it before stays in force`);
      return;
    }
    this.unreadable = 0;
    if (text === this.seen && because !== "SIGHUP") return;
    this.seen = text;
    const { env } = this.options;
    const loaded = loadConfig(text, { file, env });
    if (loaded.ok) {
      for (const { line, column, message } of loaded.warnings) log.warn({ file, line, column }, message);
      this.tell(because, await runtime.apply(loaded.config));
    } else {
      const refused = await runtime.refuse(summary(loaded.issues, file));
      this.tell(because, refused, formatIssues(loaded.issues, file, text).trimEnd());
    }
  }

  /** `details`: all of what is wrong, where `result` has a line of it. */
  private tell(because: string, result: ApplyResult, details?: string): void {
    const { file, log } = this.options;
    const facts = { file, because };
    if (result.kind === "refused")
      log.error(facts, `the configuration was refused, nothing of it is in force: ${details ?? result.why}`);
    else if (result.kind === "unchanged") log.info(facts, "the configuration says the same as before");
    else log.info({ ...facts, config_version: result.version }, "the configuration was applied");
  }
}

/** One line, which also strangers may read who ask whether the sidecar is ready: nothing of the file itself. */
function summary(issues: readonly Issue[], file: string): string {
  const [first] = issues;
  if (first === undefined) return `${file} is broken`;
  const more = issues.length > 1 ? `, and ${issues.length - 1} more` : "";
  return `${file}:${first.line}:${first.column}: ${first.message}${more}`;
}

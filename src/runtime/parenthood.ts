import type { Logger } from "pino";
import { formatAddress } from "../core/address.ts";
import type { Clock } from "../core/clock.ts";
import { Child } from "./child.ts";
import { reapOrphans } from "./reaper.ts";
import type { Runtime } from "./runtime.ts";
import type { Shutdown } from "./shutdown.ts";

/** Which application is started, and when. */
export interface ParenthoodOptions {
  readonly runtime: Runtime;
  readonly shutdown: Shutdown;
  readonly clock: Clock;
  readonly log: Logger;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds for the sidecar to get ready in. */
  readonly patience: number;
}

/** Milliseconds between lines that say what is waited for. */
const REMINDER = 5_000;

/**
 * The sidecar as the parent of its application (`outrigger run -- COMMAND`), where nothing else starts and ends the two in
 * order: the command is started once the sidecar is ready, asked to go once nobody calls it any more, and its end is the
 * end of the sidecar, which drains and goes with its exit code.
 */
export class Parenthood {
  private readonly options: ParenthoodOptions;
  private child: Child | undefined = undefined;

  constructor(options: ParenthoodOptions) {
    this.options = options;
  }

  /** Resolves when the command has been started, or will not be. */
  async begin(): Promise<void> {
    const { runtime, shutdown, log, command, env, patience } = this.options;
    if (!(await this.isReady())) {
      const state = runtime.ready();
      const waiting = state.ready ? [] : state.waiting;
      log.fatal({ waiting }, `not ready within ${patience} ms: ${command[0] ?? ""} is not started`);
      shutdown.fail();
      return;
    }
    if (runtime.draining) return;
    const outbound = runtime.listeners.addressOf("outbound");
    const told = outbound === undefined ? {} : { OUTRIGGER_OUTBOUND: formatAddress(outbound) };
    const child = new Child(command, { ...env, ...told });
    this.child = child;
    runtime.child = child;
    void reapOrphans(() => child.pid, log);
    log.info({ command: command[0], pid: child.pid }, "the application is started");
    void child.exited.then((code) => {
      if (child.error !== undefined) log.fatal({ err: child.error }, `cannot start ${command[0] ?? ""}`);
      else log.info({ code }, "the application has ended");
      shutdown.drain();
    });
  }

  /** Ends what is left of the application. Resolves with the exit code that the process should have instead of `code`. */
  async end(code: number): Promise<number> {
    if (this.child === undefined) return code;
    this.child.signal("SIGKILL");
    const own = await this.child.exited;
    return code === 0 ? own : code;
  }

  /** Whether it is within its time; says meanwhile what it waits for. */
  private async isReady(): Promise<boolean> {
    const { runtime, shutdown, clock, log, patience } = this.options;
    const remind = (): void => {
      const state = runtime.ready();
      if (!state.ready)
        log.warn(
          { waiting: state.waiting.map(({ what }) => what) },
          "the application waits for the sidecar to get ready",
        );
      reminder = clock.setTimer(REMINDER, remind);
    };
    let reminder = clock.setTimer(REMINDER, remind);
    const ready = runtime.whenReady().then(() => true);
    const late = Promise.withResolvers<boolean>();
    const limit = clock.setTimer(patience, () => late.resolve(false));
    const asked = shutdown.code.then(() => true);
    const answer = await Promise.race([ready, late.promise, asked]);
    reminder.cancel();
    limit.cancel();
    return answer;
  }
}

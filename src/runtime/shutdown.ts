import type { Logger } from "pino";
import type { Clock } from "../core/clock.ts";
import type { Runtime } from "./runtime.ts";

/**
 * Milliseconds in which a signal counts once: Ctrl-C and a stopping cgroup send it to the launcher and to this process, and
 * the launcher passes its own on.
 */
const SAME_SIGNAL = 200;

/**
 * How the process is asked to go: a signal drains, a second one does not wait; admin may ask for either, and the end of the
 * application that it has started is a reason to drain, too.
 */
export class Shutdown {
  /** The exit code, once there is nothing to wait for any more. */
  readonly code: Promise<number>;
  private readonly runtime: Runtime;
  private readonly clock: Clock;
  private readonly log: Logger;
  private finish: (code: number) => void = () => {};
  private signalledAt: number | undefined = undefined;

  constructor(runtime: Runtime, clock: Clock, log: Logger) {
    this.runtime = runtime;
    this.clock = clock;
    this.log = log;
    this.code = new Promise((resolve) => {
      this.finish = resolve;
    });
  }

  signal(): void {
    const now = this.clock.now();
    if (this.signalledAt === undefined) this.drain();
    else if (now - this.signalledAt > SAME_SIGNAL) this.finish(130);
    this.signalledAt ??= now;
  }

  drain(): void {
    this.runtime.drain().then(
      (cut) => {
        if (cut > 0) this.log.warn({ cut }, `${cut} streams had not ended by the end of grace and were cut`);
        this.finish(0);
      },
      (error: unknown) => {
        this.log.error({ err: error }, "cannot drain");
        this.finish(1);
      },
    );
  }

  quit(): void {
    this.log.info("asked to quit");
    this.finish(0);
  }

  fail(): void {
    this.finish(1);
  }
}

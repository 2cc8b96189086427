import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";

/** How a program went: its exit code, or 128 and the number of the signal that ended it, as a shell says it. */
export type ExitCode = number;

/** Exit codes of a shell: the program is not there, or cannot be run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/**
 * The application as a program that this sidecar has started: its output is the sidecar's, its signals come through the
 * sidecar, and its exit code becomes that of the sidecar.
 */
export class Child {
  /** Resolves when it has ended, also where it could not be started: `error` says why then. */
  readonly exited: Promise<ExitCode>;
  error: Error | undefined = undefined;
  private code: ExitCode | undefined = undefined;
  private readonly process: ChildProcess;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv) {
    const [program = "", ...args] = command;
    this.process = spawn(program, args, { stdio: "inherit", env });
    this.exited = new Promise((resolve) => {
      const end = (code: ExitCode): void => {
        this.code ??= code;
        resolve(this.code);
      };
      this.process.once("exit", (code, signal) => end(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
      this.process.once("error", (error) => {
        // A signal that could not be sent is no end.
        if (this.process.pid !== undefined) return;
        this.error = error;
        end("code" in error && error.code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE);
      });
    });
  }

  get pid(): number | undefined {
    return this.process.pid;
  }

  /** Whether it has ended. */
  get gone(): boolean {
    return this.code !== undefined;
  }

  /** Passes a signal on; does nothing once it has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.gone) this.process.kill(signal);
  }
}

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** How a process ended: by itself with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  readonly cwd?: string;
  /** Added to this process's environment; a value of undefined takes the name away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Whose rights it has; default: those of this process. */
  readonly uid?: number;
  readonly gid?: number;
  /** Written to its standard input, which then ends. Default: no standard input. */
  readonly input?: string;
}

/** A process that a test has started, and what it has printed so far. */
export interface RunningProcess {
  readonly pid: number;
  /** Settles when the process has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  stdout(): string;
  stderr(): string;
  /**
   * The first line of either stream, printed already or still to come, that matches.
   * Rejects after `timeout` milliseconds (default 10,000), or when the process ends first, with what it printed.
   */
  line(pattern: RegExp, timeout?: number): Promise<RegExpExecArray>;
  /** Sends a signal; does nothing once the process has ended. */
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL to one that has not ended `grace` milliseconds (default 5,000) later. */
  stop(grace?: number): Promise<Exit>;
  /** SIGKILL. */
  kill(): Promise<Exit>;
}

/** Of each stream this many characters are kept, the newest. */
const KEPT = 4 * 1024 * 1024;

const running = new Set<ChildProcess>();
// A test file that dies of its own error must not leave its Consul behind.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

class Output {
  text = "";
  readonly #listeners = new Set<() => void>();

  constructor(stream: NodeJS.ReadableStream) {
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      this.text = (this.text + chunk).slice(-KEPT);
      for (const listener of this.#listeners) listener();
    });
  }

  onText(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  match(pattern: RegExp): RegExpExecArray | undefined {
    const complete = this.text.slice(0, this.text.lastIndexOf("\n") + 1);
    for (const line of complete.split("\n")) {
      const found = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).exec(line);
      if (found) return found;
    }
    return undefined;
  }
}

/** Starts a program; rejects when it cannot be started at all. It is killed when this process exits. */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<RunningProcess> {
  const child = spawn(command, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const { stdout: outStream, stderr: errStream } = child;
  if (!outStream || !errStream) throw new Error(`cannot start ${command}: no pipes`);
  const stdout = new Output(outStream);
  const stderr = new Output(errStream);
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  await once(child, "spawn");
  running.add(child);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${command}: no process id`);
  // A program that does not read its input ends before it: not an error of the test.
  child.stdin?.on("error", () => {});
  child.stdin?.end(options.input);

  const transcript = () => `${command} ${args.join(" ")}\nstdout:\n${stdout.text}\nstderr:\n${stderr.text}`;
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;

  return {
    pid,
    exited,
    stdout: () => stdout.text,
    stderr: () => stderr.text,
    line: (pattern, timeout = 10_000) =>
      new Promise((resolve, reject) => {
        const cleanups: (() => void)[] = [];
        const settle = (finish: () => void) => {
          for (const cleanup of cleanups) cleanup();
          finish();
        };
        const look = () => {
          const found = stdout.match(pattern) ?? stderr.match(pattern);
          if (found) settle(() => resolve(found));
          return found !== undefined;
        };
        if (look()) return;
        const timer = setTimeout(
          () => settle(() => reject(new Error(`no line ${pattern} in ${timeout} ms from ${transcript()}`))),
          timeout,
        );
        cleanups.push(() => clearTimeout(timer), stdout.onText(look), stderr.onText(look));
        void exited.then(({ code, signal }) => {
          const end = signal ?? `code ${code}`;
          settle(() => reject(new Error(`ended (${end}) before a line ${pattern}: ${transcript()}`)));
        });
      }),
    signal: (signal) => {
      child.kill(signal);
    },
    stop: async (grace = 5_000) => {
      if (!hasEnded()) child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), grace);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
    kill: () => {
      if (!hasEnded()) child.kill("SIGKILL");
      return exited;
    },
  };
}

/** What a program that ran to its end printed, and how it ended. */
export interface Completed extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; after `timeout` milliseconds (default 60,000) it is killed and this rejects. */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions & { readonly timeout?: number } = {},
): Promise<Completed> {
  const started = await startProcess(command, args, options);
  const timeout = options.timeout ?? 60_000;
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    void started.kill();
  }, timeout);
  const exit = await started.exited;
  clearTimeout(timer);
  const completed = { ...exit, stdout: started.stdout(), stderr: started.stderr() };
  if (timedOut) {
    throw new Error(
      `${command} ${args.join(" ")} did not end in ${timeout} ms\nstdout:\n${completed.stdout}\nstderr:\n${completed.stderr}`,
    );
  }
  return completed;
}

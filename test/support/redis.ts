import { freePort } from "./ports.ts";
import { type Exit, type RunningProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

const ATTEMPTS = 5;

/** A real Redis that keeps everything in memory. */
export class RealRedis {
  readonly url: string;
  private readonly port: number;
  private process: RunningProcess;

  private constructor(port: number, process: RunningProcess) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.process = process;
  }

  /** Needs the real part: guard the test with `skipUnless("redis-server")`. */
  static async start(): Promise<RealRedis> {
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      try {
        return new RealRedis(port, await serve(port));
      } catch (error) {
        // Somebody else took the port between our look and Redis' bind.
        if (attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Suspends it: connections stay, nothing is answered. */
  pause(): void {
    this.process.signal("SIGSTOP");
  }

  resume(): void {
    this.process.signal("SIGCONT");
  }

  /** Ends it at once. */
  async kill(): Promise<Exit> {
    this.process.signal("SIGCONT");
    return await this.process.kill();
  }

  /** Starts it again at the same address; it knows nothing any more. */
  async restart(): Promise<void> {
    await this.kill();
    this.process = await serve(this.port);
  }
}

async function serve(port: number): Promise<RunningProcess> {
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp"];
  const process = await startProcess(requirePart("redis-server"), options);
  await process.line(/Ready to accept connections/);
  return process;
}

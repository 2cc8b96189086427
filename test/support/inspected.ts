import type { RunningProcess } from "./process.ts";

/** Memory of a process after a full collection, in octets. */
export interface Memory {
  /** What the JavaScript heap holds. */
  readonly heap: number;
  readonly resident: number;
}

/** A process that was started with `--inspect=127.0.0.1:0`, and that can be told to collect its garbage. */
export class Inspected {
  private readonly socket: WebSocket;
  private readonly answers = new Map<number, (answer: unknown) => void>();
  private last = 0;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const message: { readonly id?: number; readonly result?: unknown } = JSON.parse(String(data));
      if (message.id === undefined) return;
      this.answers.get(message.id)?.(message.result);
      this.answers.delete(message.id);
    });
  }

  static async of(running: RunningProcess): Promise<Inspected> {
    const [, url = ""] = await running.line(/Debugger listening on (ws:\S+)/);
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", () => reject(new Error(`no inspector at ${url}`)), { once: true });
    });
    return new Inspected(socket);
  }

  /** What is left after everything that can be collected has been. */
  async memory(): Promise<Memory> {
    // What a collection lets go of may need a turn to be closed, and then another collection.
    for (let round = 0; round < 3; round++) {
      await this.ask("HeapProfiler.collectGarbage", {});
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const expression = "JSON.stringify(process.memoryUsage())";
    const answer = (await this.ask("Runtime.evaluate", { expression })) as {
      readonly result: { readonly value: string };
    };
    const usage: NodeJS.MemoryUsage = JSON.parse(answer.result.value);
    return { heap: usage.heapUsed + usage.external, resident: usage.rss };
  }

  close(): void {
    this.socket.close();
  }

  private ask(method: string, params: object): Promise<unknown> {
    const id = ++this.last;
    this.socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => this.answers.set(id, resolve));
  }
}

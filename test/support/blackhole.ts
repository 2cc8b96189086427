import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Worker } from "node:worker_threads";

/** Listens and never takes a connection: its thread stands still. */
const standstill = `
  const { parentPort } = require("node:worker_threads");
  const server = require("node:net").createServer();
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

/** An address of this machine at which nobody answers: its backlog is full, so that the kernel drops what comes. */
export class Blackhole {
  readonly address: string;
  private readonly worker: Worker;
  private readonly fillers: readonly Socket[];

  private constructor(address: string, worker: Worker, fillers: readonly Socket[]) {
    this.address = address;
    this.worker = worker;
    this.fillers = fillers;
  }

  static async open(): Promise<Blackhole> {
    const worker = new Worker(standstill, { eval: true });
    const [port]: unknown[] = await once(worker, "message");
    if (typeof port !== "number") throw new Error("the blackhole has no port");
    const fillers: Socket[] = [];
    for (let full = false; !full; ) {
      const filler = connect({ host: "127.0.0.1", port }).on("error", () => {});
      fillers.push(filler);
      full = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), 100);
        filler.once("connect", () => {
          clearTimeout(timer);
          resolve(false);
        });
      });
    }
    return new Blackhole(`127.0.0.1:${port}`, worker, fillers);
  }

  async close(): Promise<void> {
    for (const filler of this.fillers) filler.destroy();
    await this.worker.terminate();
  }
}

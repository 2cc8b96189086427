import { setTimeout as sleep } from "node:timers/promises";
import type { PlainField } from "./hpack-peer.ts";

/** What became of calls that were offered at a rate, whatever became of those before. */
export interface OpenLoop {
  offered: number;
  /** Answered with OK before their deadline. */
  answered: number;
  /** Others by `outrigger-reason`, or by what happened. */
  readonly others: Map<string, number>;
  /** Milliseconds of the answered ones. */
  readonly latencies: number[];
  /** Milliseconds in which they were offered. */
  elapsed: number;
}

/** Who makes calls over one connection. */
export interface OpenLoopClient {
  call(head: readonly PlainField[]): Promise<{ get(name: string): string | undefined }>;
}

export interface OpenLoopOptions {
  readonly clients: readonly OpenLoopClient[];
  readonly head: readonly PlainField[];
  /** Calls a second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly duration: number;
  /** Milliseconds after which an answer does not count. */
  readonly deadline: number;
}

/** Offers calls evenly, and waits until the last one is over. */
export async function offerOpenLoop({ clients, head, rate, duration, deadline }: OpenLoopOptions): Promise<OpenLoop> {
  const loop: OpenLoop = { offered: 0, answered: 0, others: new Map(), latencies: [], elapsed: 0 };
  const note = (what: string): void => void loop.others.set(what, (loop.others.get(what) ?? 0) + 1);
  const began = performance.now();
  const one = async (client: OpenLoopClient): Promise<void> => {
    const start = performance.now();
    try {
      const answer = await client.call(head);
      const took = performance.now() - start;
      if (answer.get("grpc-status") !== "0") note(answer.get("outrigger-reason") ?? "another status");
      else if (took > deadline) note("too late");
      else {
        loop.answered++;
        loop.latencies.push(took);
      }
    } catch {
      note("aborted");
    }
  };
  const under: Promise<void>[] = [];
  for (let now = began; now < began + duration; now = performance.now()) {
    for (const due = Math.floor(((now - began) / 1000) * rate); loop.offered < due; loop.offered++) {
      const client = clients[loop.offered % clients.length];
      if (client !== undefined) under.push(one(client));
    }
    await sleep(1);
  }
  loop.elapsed = performance.now() - began;
  await Promise.all(under);
  return loop;
}

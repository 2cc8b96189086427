import { setTimeout as sleep } from "node:timers/promises";
import type { PlainField } from "../support/hpack-peer.ts";
import { type OpenLoopClient, offerOpenLoop } from "../support/open-loop.ts";
import { callHead } from "../support/raw-call.ts";

const STANDING = 8;
/** Milliseconds after the last call before those that have had no answer at all are given up; not much longer than their deadline. */
const PATIENCE = 15_000;
const DEADLINES = 5;

/** What became of honest calls of one kind. */
export interface Served {
  readonly offered: number;
  readonly failed: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Why others failed. */
  readonly reasons: Readonly<Record<string, number>>;
}

export interface Honest {
  /** Calls on connections that stood before. */
  readonly standing: Served;
  /** A call each on a connection of its own, from before it is made. */
  readonly fresh: Served;
}

export interface HonestRates {
  /** Calls a second on standing connections, and new connections a second. */
  readonly calls: number;
  readonly connections: number;
}

/** What an answer says: `grpc-status`, 0 where all is well, and `outrigger-reason`. */
export type HonestAnswer = Awaited<ReturnType<OpenLoopClient["call"]>>;

/** One that makes calls over one connection. */
export interface HonestClient extends OpenLoopClient {
  close(): void;
}

/** Callers who mean no harm. */
export class HonestCallers {
  private readonly open: () => Promise<HonestClient>;
  private readonly clients: readonly HonestClient[];
  private readonly deadline: number;
  private readonly head: readonly PlainField[];

  private constructor(deadline: number, open: () => Promise<HonestClient>, clients: readonly HonestClient[]) {
    this.deadline = deadline;
    this.head = callHead("up", ["grpc-timeout", `${deadline}m`]);
    this.open = open;
    this.clients = clients;
  }

  /** `deadline`: milliseconds in which a call has to be answered; `open` makes a connection. */
  static async connect(deadline: number, open: () => Promise<HonestClient>): Promise<HonestCallers> {
    const clients: HonestClient[] = [];
    while (clients.length < STANDING) clients.push(await open());
    return new HonestCallers(deadline, open, clients);
  }

  /** Calls for so many milliseconds. */
  async call(rates: HonestRates, duration: number): Promise<Honest> {
    const { clients, head, deadline } = this;
    const giveUp = setTimeout(() => this.close(), duration + Math.min(PATIENCE, DEADLINES * deadline));
    const offer = { clients, head, rate: rates.calls, duration, deadline };
    const [standing, fresh] = await Promise.all([offerOpenLoop(offer), this.newcomers(rates.connections, duration)]);
    clearTimeout(giveUp);
    return {
      standing: served(standing.offered, standing.latencies, standing.others),
      fresh,
    };
  }

  close(): void {
    for (const client of this.clients) client.close();
  }

  private async newcomers(rate: number, duration: number): Promise<Served> {
    const latencies: number[] = [];
    const others = new Map<string, number>();
    const note = (what: string): void => void others.set(what, (others.get(what) ?? 0) + 1);
    const one = async (): Promise<void> => {
      const begun = performance.now();
      const late = sleep(this.deadline, undefined, { ref: false });
      const connecting = this.open();
      try {
        const client = await Promise.race([connecting, late]);
        const answer = await Promise.race([client?.call(this.head), late]);
        if (answer === undefined) note(client === undefined ? "not connected in time" : "too late");
        else if (answer.get("grpc-status") !== "0") note(answer.get("outrigger-reason") ?? "another status");
        else latencies.push(performance.now() - begun);
      } catch (error) {
        note(error instanceof Error && "code" in error ? String(error.code) : "aborted");
      } finally {
        void connecting.then(
          (client) => client.close(),
          () => {},
        );
      }
    };
    const under: Promise<void>[] = [];
    const begun = performance.now();
    for (let now = begun; now < begun + duration; now = performance.now()) {
      for (const due = Math.floor(((now - begun) / 1000) * rate); under.length < due; ) under.push(one());
      await sleep(5);
    }
    await Promise.all(under);
    return served(under.length, latencies, others);
  }
}

function served(offered: number, latencies: readonly number[], others: ReadonlyMap<string, number>): Served {
  const sorted = latencies.toSorted((a, b) => a - b);
  const quantile = (share: number): number =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN) * 10) / 10;
  return {
    offered,
    failed: offered - latencies.length,
    p50: quantile(0.5),
    p99: quantile(0.99),
    reasons: Object.fromEntries(others),
  };
}

import { Worker } from "node:worker_threads";
import type { Clock } from "../core/clock.ts";
import type { Discovered } from "../discovery/source.ts";
import type { FromWorker, Question, ToCrew, ToWorker, WorkerStart } from "./messages.ts";
import type { SourceServer } from "./source-server.ts";

/** What a member's worker says that is not an answer to a question of its own. */
export interface MemberHost {
  readonly clock: Clock;
  /** What the thread runs. */
  readonly script: string;
  sources(tell: (subscription: number, state: Discovered) => void): SourceServer;
  onMessage(member: Member, message: ToCrew): void;
  /** It has ended by itself, whatever the cause. */
  onEnd(member: Member, why: string): void;
}

/** Milliseconds for a worker to answer a question of people; one that is that busy is left out. */
const PATIENCE = 2000;

/** A worker as the control thread holds it. */
export class Member {
  readonly at: number;
  readonly sources: SourceServer;
  private readonly host: MemberHost;
  private readonly thread: Worker;
  private readonly open = new Map<number, (answer: unknown) => void>();
  private last = 0;
  private error: unknown = undefined;
  ended = false;

  /** `at`: which of the workers it is, from 0 on. */
  constructor(host: MemberHost, start: WorkerStart, at: number) {
    this.at = at;
    this.host = host;
    this.sources = host.sources((subscription, state) => this.send({ kind: "discovered", subscription, state }));
    this.thread = new Worker(host.script, { workerData: start });
    this.thread.on("message", (message: FromWorker) => this.hear(message));
    this.thread.on("error", (error) => {
      this.error = error;
    });
    this.thread.on("exit", (code) => this.end(code));
  }

  send(message: ToWorker): void {
    if (!this.ended) this.thread.postMessage(message);
  }

  /** Its part of an answer; undefined where it does not answer. */
  ask(question: Question): Promise<unknown> {
    return this.wait((id) => this.send({ kind: "ask", id, question }), PATIENCE);
  }

  /** Sends something that is answered by its number; undefined where the thread ends before, or `patience` does. */
  wait(begin: (id: number) => void, patience?: number): Promise<unknown> {
    if (this.ended) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const id = ++this.last;
      const timer = patience === undefined ? undefined : this.host.clock.setTimer(patience, () => done(undefined));
      const done = (answer: unknown): void => {
        this.open.delete(id);
        timer?.cancel();
        resolve(answer);
      };
      this.open.set(id, done);
      begin(id);
    });
  }

  async terminate(): Promise<void> {
    await this.thread.terminate();
  }

  private hear(message: FromWorker): void {
    switch (message.kind) {
      case "subscribe":
        this.sources.subscribe(message.subscription, message.source, message.name);
        return;
      case "unsubscribe":
        this.sources.unsubscribe(message.subscription);
        return;
      case "answer":
        this.open.get(message.id)?.(message.answer);
        return;
      case "applied":
        this.open.get(message.id)?.(message.result);
        return;
      case "started":
      case "failed":
      case "lease":
      case "inboundEnded":
      case "drained":
      case "log":
      case "news":
        this.host.onMessage(this, message);
    }
  }

  private end(code: number): void {
    this.ended = true;
    this.sources.close();
    for (const done of [...this.open.values()]) done(undefined);
    const { error } = this;
    this.host.onEnd(this, error instanceof Error ? (error.stack ?? error.message) : `it ended with code ${code}`);
  }
}

import { isDeepStrictEqual } from "node:util";
import type { Config, ConsulConfig } from "../config/types.ts";
import { follow } from "../core/follow.ts";
import { loadRegex, noRegex } from "../core/regex.ts";
import { Watch } from "../core/watch.ts";
import { ConsulIntentions, type IntentionsAnswer } from "../discovery/consul/intentions.ts";
import { readIntentions } from "../filters/intentions/intention.ts";
import type { IntentionSet } from "../filters/intentions/intentions.ts";
import { needsRegex } from "../filters/intentions/permission.ts";
import type { Waiting } from "./readiness.ts";
import type { ProcessServices } from "./services.ts";

/** What is followed: where it changes, everything begins anew. */
interface Subject {
  readonly consul: ConsulConfig;
  readonly service: string;
}

/** Milliseconds for which a Consul that has lost its memory is not believed that something is allowed now. */
const DOUBT = 30_000;

/**
 * The intentions for the calls of this sidecar's service, followed beside the way of a call.
 *
 * Invariants: a failure changes nothing, so that what was closed stays closed; before the first answer nothing is known, and every
 * call is refused; a change is in force from the next call on, and told once.
 */
export class IntentionWatch {
  /** What Consul has said; undefined before its first answer, or where intentions do not count. */
  readonly current = new Watch<IntentionSet | undefined>(undefined);
  /** Why there is no newer answer; undefined while there is. */
  problem: string | undefined = undefined;
  /** Milliseconds of the clock since when. */
  staleSince: number | undefined = undefined;
  private readonly services: Pick<ProcessServices, "clock" | "log" | "random">;
  private subject: Subject | undefined = undefined;
  private running: { readonly end: () => Promise<void>; readonly firstWord: Promise<void> } | undefined = undefined;
  private since = "";

  constructor(services: Pick<ProcessServices, "clock" | "log" | "random">) {
    this.services = services;
  }

  /** Follows what a configuration asks for. */
  apply(config: Config): void {
    const subject = subjectOf(config);
    if (isDeepStrictEqual(subject, this.subject)) return;
    void this.running?.end();
    this.running = undefined;
    this.subject = subject;
    this.problem = undefined;
    this.staleSince = undefined;
    this.since = new Date(this.services.clock.wall()).toISOString();
    // Another agent, or another token for it, is asked about the same service: what was said before counts until it has answered.
    if (subject === undefined && this.current.current !== undefined) this.current.set(undefined);
    if (subject !== undefined) this.running = this.run(subject);
  }

  /** Resolves with the first word of the agent, an answer or a failure; at once where intentions do not count. */
  async start(config: Config): Promise<void> {
    this.apply(config);
    await this.running?.firstWord;
  }

  /** What calls wait for. */
  get waiting(): Waiting | undefined {
    if (this.subject === undefined || this.current.current !== undefined) return undefined;
    const detail = `nobody may call yet: ${this.problem ?? "consul has not answered which intentions there are"}`;
    return { what: "intentions", since: this.since, detail };
  }

  /** What people should know although calls are taken. */
  get warning(): string | undefined {
    if (this.waiting !== undefined || this.problem === undefined) return undefined;
    return `the intentions are those of the last answer: ${this.problem}`;
  }

  /** For people; null where intentions do not count. */
  describe(): { count: number | null; default: IntentionSet["byDefault"] | null; lastError: string | null } | null {
    if (this.subject === undefined) return null;
    const set = this.current.current;
    return {
      count: set?.intentions.length ?? null,
      default: set?.byDefault ?? null,
      lastError: this.problem ?? null,
    };
  }

  /** Calls back once intentions are known, at once where they are or do not count. */
  whenKnown(callback: () => void): void {
    if (this.waiting === undefined) {
      callback();
      return;
    }
    const stop = this.current.onChange(() => {
      if (this.waiting !== undefined) return;
      stop();
      callback();
    });
  }

  async close(): Promise<void> {
    const { running } = this;
    this.running = undefined;
    await running?.end();
  }

  private run({ consul, service }: Subject): NonNullable<IntentionWatch["running"]> {
    const { clock, random } = this.services;
    const source = new ConsulIntentions(consul, clock);
    const stopped = new AbortController();
    let heard: () => void = () => {};
    const firstWord = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const memory = new Memory();
    const loop = follow({
      ask: async (index) => {
        const answer = await source.of(service, { index, signal: stopped.signal });
        memory.judge(answer, clock.now());
        return { index: answer.index, raw: answer, set: await read(answer) };
      },
      keep: ({ raw, set }) => {
        if (!stopped.signal.aborted) this.take(service, memory.take(raw) ? set : undefined);
        heard();
      },
      failed: (error) => {
        this.failed(error instanceof Error ? error.message : String(error));
        heard();
        return true;
      },
      onRenewed: (listener) => source.onRenewed(listener),
      clock,
      random,
      signal: stopped.signal,
    });
    const end = async (): Promise<void> => {
      stopped.abort();
      source.close();
      heard();
      await loop;
    };
    return { end, firstWord };
  }

  /** `set`: undefined where the answer is the one of before. */
  private take(service: string, set: IntentionSet | undefined): void {
    const { log } = this.services;
    if (this.problem !== undefined && this.current.current !== undefined)
      log.logger.info({ upstream: service }, "the intentions of consul are known again");
    this.problem = undefined;
    this.staleSince = undefined;
    if (set === undefined) return;
    const facts = { upstream: service, intentions: set.intentions.length, default: set.byDefault };
    log.logger.info(facts, "intentions of consul are in force");
    this.current.set(set);
  }

  private failed(why: string): void {
    const isNews = this.problem !== why;
    this.problem = why;
    this.staleSince ??= this.services.clock.now();
    const kept = this.current.current === undefined ? "nobody may call" : "those of the last answer stay in force";
    if (isNews) this.services.log.logger.warn(`the intentions of consul cannot be read, ${kept}: ${why}`);
  }
}

/** What was said before, to tell news from repetition and a loss of memory from a change. */
class Memory {
  private before: IntentionsAnswer | undefined = undefined;
  private doubtUntil: number | undefined = undefined;

  /** Throws where the answer is not believed yet. */
  judge(answer: IntentionsAnswer, now: number): void {
    const { before } = this;
    if (before === undefined || answer.index >= before.index || sameWord(answer, before)) {
      this.doubtUntil = undefined;
      return;
    }
    this.doubtUntil ??= now + DOUBT;
    if (now < this.doubtUntil)
      throw new Error(
        `consul has lost its memory, what it says is believed in ${Math.ceil((this.doubtUntil - now) / 1000)}s`,
      );
    this.doubtUntil = undefined;
  }

  /** False where it says nothing new. */
  take(answer: IntentionsAnswer): boolean {
    const isNews = this.before === undefined || !sameWord(answer, this.before);
    this.before = answer;
    return isNews;
  }
}

function sameWord(one: IntentionsAnswer, other: IntentionsAnswer): boolean {
  return one.byDefault === other.byDefault && isDeepStrictEqual(one.list, other.list);
}

async function read({ list, byDefault }: IntentionsAnswer): Promise<IntentionSet> {
  const intentions = readIntentions(list);
  if (typeof intentions === "string") throw new Error(`consul says what cannot be read: ${intentions}`);
  return { intentions, byDefault, regex: needsRegex(intentions) ? await loadRegex() : noRegex };
}

function subjectOf({ authorization, discovery: { consul }, service }: Config): Subject | undefined {
  if (authorization?.intentions === undefined || consul === undefined || service === undefined) return undefined;
  return { consul, service: service.name };
}

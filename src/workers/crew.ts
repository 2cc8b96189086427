import type { Config, SourceKind } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { Backoff } from "../core/backoff.ts";
import type { DiscoverySource } from "../discovery/source.ts";
import type { LogLevel } from "../observability/log.ts";
import { forgetEnds, sharedEnds } from "../proxy/loop-guard.ts";
import type { ApplyResult, UpstreamNews } from "../runtime/runtime.ts";
import type { ProcessServices } from "../runtime/services.ts";
import { Member, type MemberHost } from "./member.ts";
import type { Question, ToCrew, ToWorker } from "./messages.ts";
import { NewsBoard } from "./news-board.ts";
import { shareConfig } from "./share-config.ts";
import { SourceServer } from "./source-server.ts";

/** What the threads are started with. */
export interface CrewOptions {
  readonly services: ProcessServices;
  readonly version: string;
  /** Where the control thread listens: admin and probe. */
  readonly control: () => readonly Address[];
  /** What a thread runs. */
  readonly script: string;
  /** A discovery source of the configuration in force. */
  readonly source: (kind: SourceKind) => DiscoverySource | undefined;
  /** Writes a line of a worker's log. */
  readonly write: (line: string) => void;
  /** What a worker that begins has to know of upstreams, beside what others have told. */
  readonly news: () => Iterable<UpstreamNews>;
}

/** Milliseconds after which a new worker counts as one that works. */
const STEADY = 10_000;
/** Milliseconds for the workers to stop by themselves. */
const STOP = 2000;

/**
 * The workers of a process. One that ends by itself is replaced, with growing pauses where that goes on; its connections are
 * lost, those of the others are not concerned.
 *
 * Invariant: all members run the same configuration, save while it changes.
 */
export class Crew {
  private readonly options: CrewOptions;
  private readonly host: MemberHost;
  private members: Member[] = [];
  private config: Config | undefined = undefined;
  private state: "starting" | "working" | "draining" | "stopping" = "starting";
  private readonly backoff: Backoff;
  private readonly board: NewsBoard;
  private readonly ends = sharedEnds();
  /** How often one was replaced. */
  restarts = 0;

  // --- who waits for what of a worker ---
  private readonly onStarted = new Map<Member, (failure: string | undefined) => void>();
  private readonly onDrained = new Map<Member, (cut: number) => void>();
  private readonly onInboundEnded = new Map<Member, () => void>();
  private readonly onStopped = new Map<Member, () => void>();

  constructor(options: CrewOptions) {
    this.options = options;
    const { clock, random } = options.services;
    this.board = new NewsBoard(clock);
    this.backoff = new Backoff({ base: 100, cap: 10_000, random });
    this.host = {
      clock,
      script: options.script,
      sources: (tell) => new SourceServer(options.source, tell),
      onMessage: (member, message) => this.hear(member, message),
      onEnd: (member, why) => this.ended(member, why),
    };
  }

  get size(): number {
    return this.members.length;
  }

  /** Starts as many as the configuration says. Rejects where one cannot begin. */
  async start(config: Config): Promise<void> {
    this.config = config;
    const started = Array.from({ length: config.workers }, () => this.add(config));
    const failures = (await Promise.all(started)).filter((failure) => failure !== undefined);
    const [first] = failures;
    if (first !== undefined) throw new Error(first);
    this.state = "working";
  }

  /** Goes over to another configuration. Rejects, with nothing changed, where the first worker refuses it. */
  async apply(config: Config): Promise<void> {
    const [first, ...others] = this.members;
    const result = first && (await this.offer(first, config));
    if (result?.kind === "refused") throw new Error(result.why);
    this.config = config;
    await Promise.all(
      others.map(async (member) => {
        // What one has taken another must not be without: it begins anew with it.
        if ((await this.offer(member, config))?.kind === "refused") await member.terminate();
      }),
    );
  }

  /** The configuration is in force here, too. */
  applied(): void {
    for (const { sources } of this.members) sources.retry();
  }

  /** What each of the workers that can answer says. */
  async ask(question: Question): Promise<unknown[]> {
    const answers = await Promise.all(this.members.map((member) => member.ask(question)));
    return answers.filter((answer) => answer !== undefined);
  }

  /** The control thread has found out something of an upstream. */
  tell(news: UpstreamNews): void {
    this.tellAll({ kind: "news", news });
  }

  setLogLevel(level: LogLevel): void {
    this.tellAll({ kind: "logLevel", level });
  }

  /** Drains all; returns how many streams were cut. */
  async drain(withdrawn: Promise<void>, inboundEnded: () => void): Promise<number> {
    this.state = "draining";
    const ended = this.members.map((member) => this.once(this.onInboundEnded, member));
    const drained = this.members.map(
      (member) => new Promise<number>((resolve) => void this.onDrained.set(member, resolve)),
    );
    this.tellAll({ kind: "drain" });
    void withdrawn.then(() => this.tellAll({ kind: "withdrawn" }));
    void Promise.all(ended).then(inboundEnded);
    const cuts = await Promise.all(drained);
    return cuts.reduce((sum, cut) => sum + cut, 0);
  }

  async stop(): Promise<void> {
    this.state = "stopping";
    this.tellAll({ kind: "stop" });
    const { clock } = this.options.services;
    const stopped = this.members.map(async (member) => {
      const timer = clock.setTimer(STOP, () => void member.terminate());
      await this.once(this.onStopped, member);
      timer.cancel();
    });
    await Promise.all(stopped);
  }

  /** Resolves with why it cannot begin, or undefined once it has. */
  private add(config: Config): Promise<string | undefined> {
    const { version, control } = this.options;
    const { workers } = config;
    // Whoever takes another's place has its part of the limits.
    const taken = new Set(this.members.map(({ at }) => at));
    let at = 0;
    while (taken.has(at)) at++;
    const shared = shareConfig(config, { at, of: workers });
    const start = { config: shared, version, workers, control: control(), ends: this.ends };
    const member = new Member(this.host, start, at);
    this.members.push(member);
    return new Promise((resolve) => void this.onStarted.set(member, resolve));
  }

  private async offer(member: Member, config: Config): Promise<ApplyResult | undefined> {
    const shared = shareConfig(config, { at: member.at, of: config.workers });
    const answer = await member.wait((id) => member.send({ kind: "apply", id, config: shared }));
    return answer as ApplyResult | undefined;
  }

  private tellAll(message: ToWorker): void {
    for (const member of this.members) member.send(message);
  }

  private once(waiting: Map<Member, () => void>, member: Member): Promise<void> {
    return new Promise((resolve) => void waiting.set(member, resolve));
  }

  private hear(member: Member, message: ToCrew): void {
    switch (message.kind) {
      case "started":
        for (const news of this.options.news()) member.send({ kind: "news", news });
        for (const news of this.board.current()) member.send({ kind: "news", news });
        this.settle(this.onStarted, member, undefined);
        return;
      case "failed":
        this.settle(this.onStarted, member, message.message);
        void member.terminate();
        return;
      case "lease":
        this.options.services.rateLimits.lease(message.limit, message.key, message.calls, (grant) => {
          member.send({ kind: "granted", id: message.id, grant });
        });
        return;
      case "inboundEnded":
        this.settle(this.onInboundEnded, member, undefined);
        return;
      case "drained":
        this.settle(this.onDrained, member, message.cut);
        return;
      case "news":
        this.board.take(message.news);
        for (const other of this.members) if (other !== member) other.send(message);
        return;
      case "log":
        this.options.write(message.line);
        return;
    }
  }

  private settle<T>(waiting: Map<Member, (value: T) => void>, member: Member, value: T): void {
    const done = waiting.get(member);
    waiting.delete(member);
    done?.(value);
  }

  private ended(member: Member, why: string): void {
    this.members = this.members.filter((other) => other !== member);
    forgetEnds(this.ends);
    this.settle<string | undefined>(this.onStarted, member, why);
    this.settle(this.onInboundEnded, member, undefined);
    this.settle(this.onDrained, member, 0);
    this.settle(this.onStopped, member, undefined);
    if (this.state !== "working") return;
    const { log, clock } = this.options.services;
    log.logger.error({ why }, "a worker has ended; its connections are lost, and another takes its place");
    this.restarts++;
    clock.setTimer(this.backoff.next(), () => void this.replace());
  }

  private async replace(): Promise<void> {
    if (this.state !== "working" || this.config === undefined) return;
    const { log, clock } = this.options.services;
    const failure = await this.add(this.config);
    if (failure !== undefined) log.logger.error({ why: failure }, "a worker cannot begin");
    else clock.setTimer(STEADY, () => this.backoff.reset());
  }
}

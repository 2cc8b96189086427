import type { Client, ClientDuplexStream } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { Backoff } from "../../core/backoff.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { type BucketAction, bucketKey, type Usage, type UsageReports } from "./assignment.ts";
import type { BucketReporter, QuotaBucket } from "./bucket.ts";

/** Which service, and what the stream needs. */
export interface QuotaStreamOptions {
  /** HOST:PORT or unix:/path. */
  readonly address: string;
  readonly domain: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

const STREAM_QUOTAS = "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas";
/** Milliseconds before a stream that has ended is opened again: at least, at most beside that, and how the second bound grows. */
const PAUSE = 250;
const CAP = 30_000;
/** Buckets in one message. */
const MOST = 1000;
/** Milliseconds without a call after which a bucket without an assignment is reported no more. */
const IDLE = 60_000;

interface Parts {
  readonly client: Client;
  readonly messages: typeof import("./messages.ts");
}

type Open = ClientDuplexStream<UsageReports, readonly BucketAction[]>;

/**
 * The stream to a rate limit quota service: reports of what buckets let pass go up, together, and assignments come down. Nobody waits
 * for it; while it is down the buckets go by what they have, and it is opened again with growing pauses. Then all of them are
 * reported anew, which is how the service learns of whom it has to tell.
 */
export class QuotaStream implements BucketReporter {
  up = true;
  failures = 0;
  reports = 0;
  assignments = 0;
  private readonly options: QuotaStreamOptions;
  private readonly backoff: Backoff;
  private readonly buckets = new Map<string, QuotaBucket>();
  /** Those that are to be reported at once. */
  private readonly urgent = new Set<QuotaBucket>();
  private parts: Promise<Parts> | undefined = undefined;
  private stream: Open | undefined = undefined;
  private opening = false;
  /** It is opened again in a while, and not before. */
  private pausing = false;
  /** What was reported on this stream before it was known whether anybody is there; undefined once it is. */
  private unheard: Map<QuotaBucket, Usage> | undefined = undefined;
  /** The service knows the domain of this stream. */
  private introduced = false;
  private timer: Timer | undefined = undefined;
  private timerAt = Number.POSITIVE_INFINITY;
  private closed = false;

  constructor(options: QuotaStreamOptions) {
    this.options = options;
    this.backoff = new Backoff({ base: PAUSE, cap: CAP, random: options.random });
  }

  /** Buckets that are reported. */
  get size(): number {
    return this.buckets.size;
  }

  watch(bucket: QuotaBucket): void {
    if (this.closed) return;
    this.buckets.set(bucket.key, bucket);
    this.urgent.add(bucket);
    if (this.stream === undefined) this.open();
    else this.wake(this.options.clock.now());
  }

  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    this.stream?.cancel();
    if (this.parts !== undefined) (await this.parts).client.close();
  }

  private open(): void {
    if (this.opening || this.pausing || this.closed) return;
    this.opening = true;
    this.parts ??= load(this.options.address);
    void this.parts.then(
      (parts) => this.opened(parts),
      (error: unknown) => this.lost(undefined, error),
    );
  }

  private opened({ client, messages }: Parts): void {
    this.opening = false;
    if (this.closed) return;
    const { encodeReports, decodeActions } = messages;
    const stream = client.makeBidiStreamRequest(STREAM_QUOTAS, encodeReports, decodeActions);
    this.stream = stream;
    this.introduced = false;
    this.unheard = new Map();
    stream.on("metadata", () => this.answered(stream));
    stream.on("data", (actions: readonly BucketAction[]) => this.obey(stream, actions));
    stream.on("error", (error) => this.lost(stream, error));
    stream.on("end", () => this.lost(stream, new Error("the service has ended the stream")));
    for (const bucket of this.buckets.values()) this.urgent.add(bucket);
    this.tell();
  }

  private answered(by: Open): void {
    if (by !== this.stream) return;
    this.unheard = undefined;
    if (!this.up)
      this.options.log.info({ address: this.options.address }, "the rate limit quota service answers again");
    this.up = true;
  }

  private obey(from: Open, actions: readonly BucketAction[]): void {
    if (from !== this.stream) return;
    this.answered(from);
    this.backoff.reset();
    const now = this.options.clock.now();
    for (const action of actions) {
      const bucket = this.buckets.get(bucketKey(action.id));
      if (bucket === undefined) continue;
      if (action.kind === "abandon") this.forget(bucket);
      else {
        this.assignments++;
        if (bucket.assign(action.strategy, action.ttl, now)) this.urgent.add(bucket);
      }
    }
    if (this.urgent.size > 0) this.wake(now);
  }

  /** It is reported no more. */
  forget(bucket: QuotaBucket): void {
    this.buckets.delete(bucket.key);
    this.urgent.delete(bucket);
    bucket.abandon();
  }

  private lost(stream: Open | undefined, error: unknown): void {
    if (stream !== this.stream || this.closed) return;
    const { log, address, clock } = this.options;
    this.stream = undefined;
    this.opening = false;
    this.failures++;
    for (const [bucket, usage] of this.unheard ?? []) bucket.giveBack(usage);
    this.unheard = undefined;
    if (this.up) log.warn({ address, err: error }, "the rate limit quota service does not answer");
    this.up = false;
    this.timer?.cancel();
    this.timerAt = Number.POSITIVE_INFINITY;
    this.pausing = true;
    this.timer = clock.setTimer(PAUSE + this.backoff.next(), () => {
      this.pausing = false;
      if (this.buckets.size > 0) this.open();
    });
  }

  /** Sees to it that what is due is told by then. */
  private wake(at: number): void {
    if (this.stream === undefined || at >= this.timerAt) return;
    this.timer?.cancel();
    this.timerAt = at;
    const { clock } = this.options;
    this.timer = clock.setTimer(Math.max(0, at - clock.now()), () => this.tell());
  }

  /** Reports what is due, and what is urgent. What the service has not read yet is not added to: it is told later, in one sum. */
  private tell(): void {
    this.timerAt = Number.POSITIVE_INFINITY;
    const { stream } = this;
    if (stream === undefined) return;
    const now = this.options.clock.now();
    const due: QuotaBucket[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const bucket of this.buckets.values()) {
      if (bucket.isIdle(now, IDLE)) this.forget(bucket);
      else if (this.urgent.has(bucket) || bucket.dueAt <= now) due.push(bucket);
      else next = Math.min(next, bucket.dueAt);
    }
    if (stream.writableNeedDrain) {
      this.wake(now + PAUSE);
      return;
    }
    this.urgent.clear();
    for (let at = 0; at < due.length; at += MOST) {
      const usages = due.slice(at, at + MOST).map((bucket) => {
        const usage = bucket.takeUsage(now);
        this.unheard?.set(bucket, sum(this.unheard.get(bucket), usage));
        return usage;
      });
      stream.write({ domain: this.introduced ? undefined : this.options.domain, usages });
      this.introduced = true;
      this.reports++;
    }
    for (const bucket of due) next = Math.min(next, bucket.dueAt);
    if (next < Number.POSITIVE_INFINITY) this.wake(next);
  }
}

async function load(address: string): Promise<Parts> {
  const [grpc, messages] = await Promise.all([import("@grpc/grpc-js"), import("./messages.ts")]);
  return { client: new grpc.Client(address, grpc.credentials.createInsecure()), messages };
}

function sum(one: Usage | undefined, other: Usage): Usage {
  if (one === undefined) return other;
  const { id, elapsed, allowed, denied } = other;
  return { id, elapsed: one.elapsed + elapsed, allowed: one.allowed + allowed, denied: one.denied + denied };
}

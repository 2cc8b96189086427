import type { Logger } from "pino";
import type { Call, Failure } from "../http/call.ts";
import { compileMatch } from "../http/call-match.ts";
import { descriptorKey, reader } from "./call-key.ts";
import type { RateLimitOptions, ServiceOptions } from "./rate-limit.ts";
import type { Entry, RateLimitAnswer } from "./rate-limit-messages.ts";
import { isTold, overLimit, rateLimitFields } from "./refusal.ts";
import type { ServiceClient } from "./service-client.ts";

/** A limit that is decided elsewhere. */
export type RemoteOptions = RateLimitOptions & {
  readonly counted: { readonly by: "service"; readonly service: ServiceOptions };
};

/** Milliseconds to come again in, where the service does not say it or does not answer. */
const PUSHBACK = 1000;

/**
 * A limit that a service decides, by Envoy's protocol. Here each call waits for an answer, as the protocol has it; a service
 * that does not give one in time is a failure, and `onFailure` decides.
 */
export class ServiceLimit {
  readonly options: RemoteOptions;
  refused = 0;
  /** Answers that did not come. */
  failures = 0;
  up = true;
  private readonly client: ServiceClient;
  private readonly log: Logger;
  private readonly matches: (call: Call) => boolean;
  private readonly readers: readonly (readonly [key: string, read: (call: Call) => string])[];

  constructor(options: RemoteOptions, client: ServiceClient, log: Logger) {
    this.options = options;
    this.client = client;
    this.log = log;
    this.matches = compileMatch(options.match);
    this.readers = options.key.map((part) => [descriptorKey(part), reader(part)]);
  }

  concerns(call: Call): boolean {
    return this.matches(call);
  }

  /** What refuses the call, once the service has answered. Never rejects. */
  async ask(call: Call): Promise<Failure | undefined> {
    const { service } = this.options.counted;
    try {
      const answer = await this.client.ask({ domain: service.domain, entries: this.entries(call) }, service.timeout);
      if (!this.up) this.log.info({ limit: this.options.name }, "the rate limit service answers again");
      this.up = true;
      const { limit = 0, remaining } = answer;
      call.note("limit", this.options.name, answer.overLimit ? limit + 1 : limit - remaining, limit);
      return answer.overLimit ? this.over(call, answer) : undefined;
    } catch (error) {
      call.note("limit", `${this.options.name}, whose service does not answer`);
      return this.failed(error);
    }
  }

  private entries(call: Call): readonly Entry[] {
    if (this.readers.length === 0) return [["generic_key", this.options.name]];
    return this.readers.map(([key, read]) => [key, read(call)]);
  }

  private over(call: Call, { limit, remaining, reset }: RateLimitAnswer): Failure | undefined {
    this.refused++;
    const { name, mode, headers } = this.options;
    if (mode === "shadow") return undefined;
    const wait = reset ?? PUSHBACK;
    const told = limit !== undefined && isTold(headers, call);
    const value = limit === undefined ? "" : `, ${limit} a period,`;
    return overLimit({
      reason: "RATE_LIMIT",
      detail: `the rate limit ${name}${value} is used up, says its service; again in ${Math.ceil(wait)}ms`,
      wait,
      elsewhere: false,
      fields: told ? rateLimitFields(limit, remaining, wait) : [],
    });
  }

  private failed(error: unknown): Failure | undefined {
    const { name, mode, counted } = this.options;
    this.failures++;
    if (this.up) this.log.warn({ limit: name, err: error }, "the rate limit service does not answer");
    this.up = false;
    if (counted.service.onFailure === "allow") return undefined;
    this.refused++;
    if (mode === "shadow") return undefined;
    const detail = `the service of the rate limit ${name} does not answer`;
    return overLimit({ reason: "RATE_LIMIT", detail, wait: PUSHBACK, elsewhere: false });
  }
}

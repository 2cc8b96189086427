import type { IncomingHttpHeaders } from "node:http";
import type { Clock } from "../../core/clock.ts";
import { field } from "../../core/json-field.ts";
import { askBlocking, type BlockingQuery } from "./blocking.ts";
import { ConsulClient, type ConsulOptions } from "./client.ts";
import { ConsulError } from "./error.ts";

/** The intentions of one destination. */
export interface IntentionsAnswer {
  readonly index: bigint;
  /** As Consul has them, those of `*` among them. */
  readonly list: readonly unknown[];
  /** What becomes of callers that no intention is for. */
  readonly byDefault: "allow" | "deny";
}

/** Milliseconds for what answers at once. */
const AT_ONCE = 5000;

/** What Consul says of who may call. Methods reject with a ConsulError and nothing else. */
export class ConsulIntentions {
  private readonly client: ConsulClient;
  /** What the agent's own configuration says of the default; undefined where it leaves that to the ACLs. */
  private policy: { readonly said: string | undefined } | undefined = undefined;

  constructor(options: ConsulOptions, clock: Clock) {
    this.client = new ConsulClient(options, clock);
  }

  /** Those that are for calls of a service, which the token has to be allowed to read. */
  async of(service: string, query: BlockingQuery): Promise<IntentionsAnswer> {
    const what = { path: "/connect/intentions/match", params: {}, query: { by: "destination", name: service } };
    const { index, headers, body } = await askBlocking(this.client, what, query);
    // A list without elements is `null`. That there is nothing of the name is another thing, which opens nothing.
    const list = field(body, service) === null ? [] : field(body, service);
    if (!Array.isArray(list)) throw this.error(`sent no intentions for ${service}`);
    if (headers["x-consul-results-filtered-by-acls"] === "true")
      throw this.error(`does not show all intentions for ${service}: the token lacks a permission`);
    if (headers["x-consul-knownleader"] === "false") throw this.error("has no cluster leader");
    // An agent that was started again may have another one.
    if (query.index === 0n) this.policy = undefined;
    this.policy ??= { said: await this.configured(query.signal) };
    return { index, list, byDefault: this.policy.said === "allow" || this.opensByAcl(headers) ? "allow" : "deny" };
  }

  /** See ConsulClient. */
  onRenewed(listener: () => void): () => void {
    return this.client.onRenewed(listener);
  }

  close(): void {
    this.client.close();
  }

  private opensByAcl(headers: IncomingHttpHeaders): boolean {
    return this.policy?.said === undefined && headers["x-consul-default-acl-policy"] === "allow";
  }

  /** `default_intention_policy` of the agent. Where the token may not see it, it counts as deny. */
  private async configured(signal: AbortSignal): Promise<string | undefined> {
    let text: string;
    try {
      ({ text } = await this.client.get("/agent/self", {}, { timeout: AT_ONCE, signal }));
    } catch (error) {
      if (error instanceof ConsulError && error.isRefusedToken) return "deny";
      throw error;
    }
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      throw this.error("sent no JSON of itself");
    }
    const debug = field(body, "DebugConfig");
    if (debug === undefined) throw this.error("does not tell its configuration");
    const said = field(debug, "DefaultIntentionPolicy");
    return typeof said === "string" && said !== "" ? said : undefined;
  }

  private error(what: string): ConsulError {
    return new ConsulError(`consul at ${this.client.host} ${what}`);
  }
}

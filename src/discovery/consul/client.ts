import { EventEmitter } from "node:events";
import type { Agent, IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Writable } from "node:stream";
import type { Clock } from "../../core/clock.ts";
import { AnswerBody } from "./answer-body.ts";
import { readChain } from "./chain/reader.ts";
import { type ConsulCredentialOptions, ConsulCredentialStore } from "./credentials.ts";
import { ConsulError, connectionError, statusError } from "./error.ts";
import { consulQuestion } from "./name.ts";
import { type CatalogService, readNodeServices } from "./node-services.ts";
import { type HealthAnswer, indexOf, readExecuted, readHealth } from "./schema.ts";

/** Which agent is asked, and as whom. */
export interface ConsulOptions extends ConsulCredentialOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`, with or without a path in front of `/v1`. */
  readonly address: string;
  readonly datacenter: string | undefined;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  /** What of it is a part of Consul Connect; absent: nothing. */
  readonly connect?: ConnectUse | undefined;
}

/** Which services are a part of Consul Connect: our own, and those whose instances have to be. */
export interface ConnectUse {
  /** The published service speaks TLS with certificates of Connect's CA by itself. */
  readonly native: boolean;
  /** By name, and what holds for others. */
  readonly names: ReadonlyMap<string, boolean>;
  readonly others: boolean;
}

/** The body of a registration, in Consul's own words. */
export interface AgentService {
  readonly ID: string;
  readonly Name: string;
  readonly Address: string;
  readonly Port: number;
  readonly Tags: readonly string[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Weights: { readonly Passing: number; readonly Warning: number };
  readonly Check: { readonly TTL: string; readonly DeregisterCriticalServiceAfter: string };
  readonly Connect?: { readonly Native: true };
}

/** A blocking query for the instances of a service. */
export interface HealthQuery {
  /** 0: answer at once. Otherwise: when the list has another index, or after `wait`. */
  readonly index: bigint;
  /** Milliseconds. */
  readonly wait: number;
  /** How much later an answer may come, in milliseconds. */
  readonly margin: number;
  readonly signal: AbortSignal;
}

/** How a service is routed. */
export interface ChainAnswer {
  readonly index: bigint;
  readonly knownLeader: boolean;
  /** As `readChain` reads it. */
  readonly text: string;
  /** No config entry says anything. */
  readonly isDefault: boolean;
}

/** Bounds of one request. */
export interface RequestLimits {
  /** Milliseconds until there must be a whole answer. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

/** What a request is. */
interface Request extends RequestLimits {
  readonly method: "GET" | "PUT";
  /** With `{name}` for each of `params`, which are encoded. */
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
}

/**
 * The part of the package's HTTP client that is used. Its own methods cannot say weights or namespaces, and its types
 * lack this one, which all of them go through.
 */
interface PackageClient {
  _request(
    options: Pick<Request, "method" | "path" | "params" | "timeout"> & {
      query: Record<string, string>;
      headers: Record<string, string>;
      body?: object;
      type: "json";
      agent: Agent;
      pipe: Writable;
      /** `cancel` on it ends the request. */
      ctx: EventEmitter;
    },
  ): Promise<IncomingMessage>;
}

/** A health list of a few thousand instances is one or two MB. */
const MAX_ANSWER = 32 * 1024 * 1024;

/** The only user of the consul package. Every method rejects with a ConsulError and nothing else. */
export class ConsulClient {
  /** HOST:PORT, for people. */
  readonly host: string;
  private readonly options: ConsulOptions;
  private readonly credentials: ConsulCredentialStore;
  private readonly baseUrl: string;
  private readonly clock: Clock;
  private http: Promise<PackageClient> | undefined;

  /** `tell`: takes what people should know of the files that requests are made with. */
  constructor(options: ConsulOptions, clock: Clock, tell?: (message: string) => void) {
    const url = new URL(options.address);
    this.options = options;
    this.clock = clock;
    this.host = url.host;
    this.credentials = new ConsulCredentialStore(options, url.protocol === "https:", clock, tell);
    this.baseUrl = `${url.origin}${url.pathname.replace(/\/+$/, "")}/v1`;
  }

  /** The passing instances of a service, or what a prepared query finds; see `name.ts`. */
  async health(name: string, how: HealthQuery): Promise<HealthAnswer> {
    const question = consulQuestion(name);
    if (question.kind === "query") return await this.execute(question.query, how);
    const { service } = question;
    const subset = question.kind === "service" ? question.subset : undefined;
    const { index, wait, margin, signal } = how;
    const { connect } = this.options;
    const datacenter = question.datacenter ?? this.options.datacenter;
    const isConnect = connect?.names.get(service) ?? connect?.others ?? false;
    const { headers, text } = await this.request({
      method: "GET",
      path: isConnect ? "/health/connect/{service}" : "/health/service/{service}",
      params: { service },
      query: {
        ...(subset?.health === "any" ? {} : { passing: "1" }),
        ...(subset === undefined || subset.filter === "" ? {} : { filter: subset.filter }),
        stale: "1",
        ...(datacenter === undefined ? {} : { dc: datacenter }),
        ...blocking(index, wait),
      },
      timeout: margin + longest(index, wait),
      signal,
    });
    const answer = readHealth(headers, text);
    if (typeof answer === "string")
      throw new ConsulError(`consul at ${this.host} sent no list of instances: ${answer}`);
    return answer;
  }

  /** How the calls of a service are routed, as Consul itself writes it. */
  async chain(name: string, { index, wait, margin, signal }: HealthQuery): Promise<ChainAnswer> {
    const question = consulQuestion(name);
    if (question.kind !== "chain") throw new Error(`${name} is no question about routing`);
    const datacenter = question.datacenter ?? this.options.datacenter;
    const { headers, text } = await this.request({
      method: "GET",
      path: "/discovery-chain/{service}",
      params: { service: question.service },
      query: {
        stale: "1",
        ...(datacenter === undefined ? {} : { dc: datacenter }),
        ...blocking(index, wait),
      },
      timeout: margin + longest(index, wait),
      signal,
    });
    const chain = readChain(text, { datacenter: question.datacenter });
    if (typeof chain === "string") throw new ConsulError(`consul at ${this.host} sent no discovery chain: ${chain}`);
    const knownLeader = headers["x-consul-knownleader"] !== "false";
    return { index: indexOf(headers) ?? 1n, knownLeader, text, isDefault: chain.isDefault };
  }

  /** A prepared query cannot block: it answers at once. */
  private async execute(query: string, { margin, signal }: HealthQuery): Promise<HealthAnswer> {
    const { datacenter } = this.options;
    const { headers, text } = await this.request({
      method: "GET",
      path: "/query/{query}/execute",
      params: { query },
      query: { stale: "1", near: "_agent", ...(datacenter === undefined ? {} : { dc: datacenter }) },
      timeout: margin,
      signal,
    });
    const answer = readExecuted(headers, text, BigInt(Math.ceil(this.clock.now())) + 1n);
    if (typeof answer === "string")
      throw new ConsulError(`consul at ${this.host} sent no result of the prepared query ${query}: ${answer}`);
    return answer;
  }

  /** What is registered on a node of a data centre, healthy or not; nothing where the node is unknown. */
  async servicesOf(
    node: string,
    limits: RequestLimits,
    datacenter = this.options.datacenter,
  ): Promise<readonly CatalogService[]> {
    const { text } = await this.request({
      method: "GET",
      path: "/catalog/node-services/{node}",
      params: { node },
      query: { stale: "1", ...(datacenter === undefined ? {} : { dc: datacenter }) },
      ...limits,
    });
    return readNodeServices(text);
  }

  /** Anything else that the agent tells. */
  get(
    path: string,
    params: Readonly<Record<string, string>>,
    more: RequestLimits & Pick<Request, "query">,
  ): Promise<{ readonly headers: IncomingHttpHeaders; readonly text: string }> {
    return this.request({ method: "GET", path, params, ...more });
  }

  async register(service: AgentService, limits: RequestLimits): Promise<void> {
    await this.request({ method: "PUT", path: "/agent/service/register", params: {}, body: service, ...limits });
  }

  async deregister(id: string, limits: RequestLimits): Promise<void> {
    await this.request({ method: "PUT", path: "/agent/service/deregister/{id}", params: { id }, ...limits });
  }

  /** Sets the state of a service's TTL check. */
  async updateCheck(id: string, state: { Status: string; Output: string }, limits: RequestLimits): Promise<void> {
    const params = { check: `service:${id}` };
    await this.request({ method: "PUT", path: "/agent/check/update/{check}", params, body: state, ...limits });
  }

  /** `listener` is called when token or TLS files have changed, until what is returned is. Blocking queries end by it. */
  onRenewed(listener: () => void): () => void {
    return this.credentials.onRenewed(listener);
  }

  /** How many connections there may be at once. */
  limit(connections: number): void {
    this.credentials.limit(connections);
  }

  /** Closes every connection, those in use too. The next request would open new ones. */
  close(): void {
    this.credentials.close();
  }

  private async request(request: Request): Promise<{ headers: IncomingHttpHeaders; text: string }> {
    const { method, path, params, body, timeout, signal } = request;
    const { namespace, partition } = this.options;
    const ctx = new EventEmitter();
    const cancel = () => ctx.emit("cancel");
    const pipe = new AnswerBody(MAX_ANSWER, cancel);
    let isRenewal = false;
    // What waits for a change was allowed by what is in force no more.
    const forget =
      request.query?.index === undefined
        ? undefined
        : this.credentials.onRenewed(() => {
            isRenewal = true;
            cancel();
          });
    try {
      this.http ??= packageClient(this.baseUrl);
      const http = await this.http;
      const { token, agent } = await this.credentials.current();
      signal?.throwIfAborted();
      signal?.addEventListener("abort", cancel, { once: true });
      const answer = await http._request({
        method,
        path,
        params,
        query: {
          ...request.query,
          ...(namespace === undefined ? {} : { ns: namespace }),
          ...(partition === undefined ? {} : { partition }),
        },
        headers: token === undefined ? {} : { "x-consul-token": token },
        ...(body === undefined ? {} : { body }),
        type: "json",
        timeout,
        agent,
        pipe,
        ctx,
      });
      return { headers: answer.headers, text: pipe.text() };
    } catch (cause) {
      if (isRenewal) throw new ConsulError(`the token or the TLS files for ${this.host} changed`, { cause, isRenewal });
      throw this.explain(cause, pipe, timeout);
    } finally {
      forget?.();
      signal?.removeEventListener("abort", cancel);
    }
  }

  private explain(cause: unknown, body: AnswerBody, timeout: number): ConsulError {
    if (body.failure !== undefined) return new ConsulError(`consul at ${this.host} ${body.failure}`, { cause });
    if (!(cause instanceof Error)) return connectionError(this.host, cause);
    if ("isTimeout" in cause) {
      return new ConsulError(`consul at ${this.host} does not answer within ${Math.round(timeout)} ms`, { cause });
    }
    if ("statusCode" in cause && typeof cause.statusCode === "number") {
      const error = statusError(this.host, cause.statusCode, body.text());
      if (error.isRefusedToken) this.credentials.refused();
      return error;
    }
    return connectionError(this.host, cause);
  }
}

function blocking(index: bigint, wait: number): Readonly<Record<string, string>> {
  return index === 0n ? {} : { index: `${index}`, wait: `${Math.round(wait)}ms` };
}

/** Milliseconds of a blocking query: Consul adds up to a 16th of the wait, to spread the wakes. */
function longest(index: bigint, wait: number): number {
  return index === 0n ? 0 : wait + wait / 16;
}

/** The package is loaded by the first request: a sidecar without Consul does without its 8 MB. */
async function packageClient(baseUrl: string): Promise<PackageClient> {
  const { default: Consul } = await import("consul");
  // The types know neither the option nor the method; both are what the package itself is made of.
  const Client = Consul as unknown as new (options: { baseUrl: string }) => PackageClient;
  return new Client({ baseUrl });
}

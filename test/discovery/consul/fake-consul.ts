import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Instance } from "../../contracts/discovery.ts";

/** A request as it came in. */
export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly token: string | undefined;
  readonly body: unknown;
  readonly at: number;
}

/** Answers a request in its own way; false leaves it to the agent as it should be. */
export type Script = (request: Recorded, response: ServerResponse) => boolean;

interface Held {
  readonly name: string;
  readonly response: ServerResponse;
  readonly index: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * An agent that does what Consul does for health queries and registrations, and whatever a test scripts instead: what a
 * real one does only when it is ill.
 */
export class FakeConsul {
  readonly requests: Recorded[] = [];
  script: Script = () => false;
  /** Headers of health answers, over the usual ones. */
  headers: Record<string, string> = {};
  /** Answers blocking queries as Consul does since 1.10: from its own view, without a word of a leader. */
  streaming = true;
  /** Index of every list; whoever changes it by hand wakes nobody. */
  index = 100;
  /** Ids that are registered. */
  readonly services = new Set<string>();
  private readonly lists = new Map<string, readonly Instance[]>();
  private readonly indexes = new Map<string, number>();
  private readonly waiting = new Set<Held>();
  private server: Server | undefined;
  private readonly host: string;
  private port = 0;

  constructor(host = "127.0.0.1") {
    this.host = host;
  }

  get address(): string {
    return `http://${this.host.includes(":") ? `[${this.host}]` : this.host}:${this.port}`;
  }

  /** Blocking queries that are open. */
  get held(): number {
    return this.waiting.size;
  }

  async start(): Promise<this> {
    this.server = createServer((request, response) => void this.serve(request, response));
    this.server.listen(this.port, this.host);
    await once(this.server, "listening");
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  /** Stops listening and cuts every connection. */
  async stop(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }

  /** How many TCP connections there are. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.server === undefined) return resolve(0);
      this.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  /** Changes a list and wakes those who wait for it. */
  set(name: string, instances: readonly Instance[]): void {
    this.index += 1;
    this.setQuietly(name, instances);
    for (const held of this.waiting) if (held.name === name) this.release(held);
  }

  /** Changes a list without its index. */
  setQuietly(name: string, instances: readonly Instance[]): void {
    this.lists.set(name, instances);
    this.indexes.set(name, this.index);
  }

  health(): Recorded[] {
    return this.requests.filter((request) => request.path.startsWith("/v1/health/service/"));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.address);
    const body = await text(request);
    const token = request.headers["x-consul-token"];
    const recorded: Recorded = {
      method: request.method ?? "",
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      token: typeof token === "string" ? token : undefined,
      body: body === "" ? undefined : JSON.parse(body),
      at: performance.now(),
    };
    this.requests.push(recorded);
    if (this.script(recorded, response)) return;
    const [, , area, , last] = url.pathname.split("/");
    if (area === "health") this.serveHealth(decodeURIComponent(last ?? ""), recorded, response);
    else this.serveAgent(recorded, response);
  }

  private serveHealth(name: string, { query }: Recorded, response: ServerResponse): void {
    const index = Number(query.index ?? 0);
    const ms = Number.parseInt(query.wait ?? "0", 10);
    const held: Held = { name, response, index, timer: setTimeout(() => this.release(held), ms) };
    this.waiting.add(held);
    response.once("close", () => this.drop(held));
    if (index === 0 || index !== this.indexOf(name)) this.release(held);
  }

  private serveAgent({ path, body }: Recorded, response: ServerResponse): void {
    const id = decodeURIComponent(path.split("/").at(-1) ?? "");
    if (path.startsWith("/v1/agent/service/register")) this.services.add(String(Reflect.get(Object(body), "ID")));
    else if (path.startsWith("/v1/agent/service/deregister")) {
      if (!this.services.delete(id)) refuse(response, 404, `Unknown service ID "${id}".`);
    } else if (!this.services.has(id.replace(/^service:/, ""))) {
      refuse(response, 404, `Unknown check ID "${id}". Ensure that the check ID is passed, not the check name.`);
    }
    if (!response.writableEnded) response.end();
  }

  private release(held: Held): void {
    if (!this.drop(held)) return;
    held.response.writeHead(200, {
      "content-type": "application/json",
      "x-consul-index": `${this.indexOf(held.name)}`,
      ...(this.streaming && held.index > 0
        ? { "x-consul-knownleader": "false", "x-consul-query-backend": "streaming" }
        : { "x-consul-knownleader": "true", "x-consul-query-backend": "blocking-query" }),
      ...this.headers,
    });
    held.response.end(JSON.stringify((this.lists.get(held.name) ?? []).map(entryOf)));
  }

  private indexOf(name: string): number {
    return this.indexes.get(name) ?? this.index;
  }

  private drop(held: Held): boolean {
    clearTimeout(held.timer);
    return this.waiting.delete(held);
  }
}

export function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(message);
}

/** An entry of a health list, with the fields around those that matter. */
export function entryOf({ host, port, weight, meta }: Instance): object {
  return {
    Node: { ID: "4b0453ad", Node: "node-1", Address: "127.0.0.1", Datacenter: "dc1", Meta: {} },
    Service: {
      ID: `instance-${port}`,
      Service: "orders",
      Tags: [],
      Address: host,
      Port: port,
      Meta: meta ?? null,
      Weights: { Passing: weight ?? 1, Warning: 1 },
    },
    Checks: [{ Node: "node-1", CheckID: "serfHealth", Status: "passing" }],
  };
}

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "./ports.ts";
import { type Exit, type RunningProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

export interface ConsulOptions {
  /** ACLs enabled, everything denied without a token; `token` is then the management token. */
  readonly acl?: boolean;
  /** Default dc1. */
  readonly datacenter?: string;
  /** More of the agent's configuration, in HCL. */
  readonly config?: string;
}

/** The answer of one HTTP request to the agent. */
export interface ConsulAnswer {
  readonly status: number;
  /** X-Consul-Index, where the answer has one. */
  readonly index: string | undefined;
  /** Parsed JSON, or the text where it is none. */
  readonly body: unknown;
}

/** A real Consul agent, server and client in one, that keeps everything in memory. */
export interface Consul {
  /** `http://127.0.0.1:PORT`. */
  readonly address: string;
  readonly port: number;
  /** The management token, where ACLs are enabled. */
  readonly token: string | undefined;
  /** A request to the HTTP API with the management token: `request("GET", "/v1/catalog/services")`. */
  request(method: string, path: string, body?: unknown): Promise<ConsulAnswer>;
  /** Suspends the agent: connections stay, nothing is answered. */
  pause(): void;
  resume(): void;
  /** Ends it in good order. */
  stop(): Promise<Exit>;
  /** Ends it at once. */
  kill(): Promise<Exit>;
  /** Starts it again at the same address; as after a loss of its data, it knows nothing. Stops it first where it runs. */
  restart(): Promise<void>;
}

const ATTEMPTS = 5;
const START_TIMEOUT = 30_000;

/**
 * Starts `consul agent -dev` on free ports of 127.0.0.1 and waits until it has a leader, knows its own node and
 * serves a token (where ACLs are enabled). Needs the real part: guard the test with `skipUnless("consul")`.
 */
export async function startConsul(options: ConsulOptions = {}): Promise<Consul> {
  for (let attempt = 1; ; attempt++) {
    const [http, serfLan, serfWan, server] = await freePorts(4);
    if (http === undefined || serfLan === undefined || serfWan === undefined || server === undefined) {
      throw new Error("too few free ports for consul");
    }
    const agent = new Agent({ http, serfLan, serfWan, server }, options);
    try {
      await agent.start();
      return agent;
    } catch (error) {
      // Somebody else took one of the ports between our look and Consul's bind.
      if (attempt === ATTEMPTS || !/address already in use/.test(String(error))) throw error;
    }
  }
}

interface Ports {
  readonly http: number;
  readonly serfLan: number;
  readonly serfWan: number;
  readonly server: number;
}

class Agent implements Consul {
  readonly port: number;
  readonly address: string;
  readonly token: string | undefined;
  readonly #args: string[];
  #process: RunningProcess | undefined;

  constructor(ports: Ports, options: ConsulOptions) {
    this.port = ports.http;
    this.address = `http://127.0.0.1:${ports.http}`;
    this.token = options.acl ? randomUUID() : undefined;
    const flags: Readonly<Record<string, string>> = {
      bind: "127.0.0.1",
      client: "127.0.0.1",
      node: `node-${ports.http}`,
      datacenter: options.datacenter ?? "dc1",
      "log-level": "warn",
      "http-port": `${ports.http}`,
      "server-port": `${ports.server}`,
      "serf-lan-port": `${ports.serfLan}`,
      "serf-wan-port": `${ports.serfWan}`,
      // -1: none
      "dns-port": "-1",
      "grpc-port": "-1",
      "grpc-tls-port": "-1",
    };
    const hcl = [
      ...(this.token === undefined ? [] : [aclConfig(this.token)]),
      ...(options.config ? [options.config] : []),
    ];
    this.#args = [
      "agent",
      "-dev",
      ...Object.entries(flags).flatMap(([name, value]) => [`-${name}`, value]),
      ...hcl.flatMap((text) => ["-hcl", text]),
    ];
  }

  async start(): Promise<void> {
    const started = await startProcess(requirePart("consul"), this.#args);
    this.#process = started;
    let ended: Exit | undefined;
    void started.exited.then((exit) => {
      ended = exit;
    });
    const deadline = Date.now() + START_TIMEOUT;
    while (!(await this.#isReady())) {
      if (ended !== undefined) throw new Error(`consul ended at its start:\n${started.stdout()}${started.stderr()}`);
      if (Date.now() > deadline) {
        await started.kill();
        throw new Error(`consul has no leader after ${START_TIMEOUT} ms:\n${started.stdout()}${started.stderr()}`);
      }
      await sleep(25);
    }
  }

  async request(method: string, path: string, body?: unknown): Promise<ConsulAnswer> {
    const response = await fetch(this.address + path, {
      method,
      // A connection kept open would be counted against the agent's limit for one client address.
      headers: { connection: "close", ...(this.token === undefined ? {} : { "x-consul-token": this.token }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, index: response.headers.get("x-consul-index") ?? undefined, body: parse(text) };
  }

  pause(): void {
    this.#process?.signal("SIGSTOP");
  }

  resume(): void {
    this.#process?.signal("SIGCONT");
  }

  async stop(): Promise<Exit> {
    this.resume();
    return this.#running().stop();
  }

  async kill(): Promise<Exit> {
    return this.#running().kill();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  #running(): RunningProcess {
    if (this.#process === undefined) throw new Error("consul was not started");
    return this.#process;
  }

  /** A leader, the node in the catalog (registrations are refused before), and the token known. */
  async #isReady(): Promise<boolean> {
    try {
      const leader = await this.request("GET", "/v1/status/leader");
      if (leader.status !== 200 || leader.body === "") return false;
      const nodes = await this.request("GET", "/v1/catalog/nodes");
      if (nodes.status !== 200 || !Array.isArray(nodes.body) || nodes.body.length === 0) return false;
      return this.token === undefined || (await this.request("GET", "/v1/acl/token/self")).status === 200;
    } catch {
      return false;
    }
  }
}

function aclConfig(token: string): string {
  // The agent's own token, without which it may not put its node into the catalog.
  return `acl { enabled = true default_policy = "deny" tokens { initial_management = "${token}" agent = "${token}" } }`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CountingApp, LISTENING, Tally } from "./counting.ts";
import type { CountingAppOptions } from "./counting-app.ts";
import { freePort } from "./ports.ts";
import type { RunningProcess } from "./process.ts";
import { type SidecarProcess, startParent, startSidecarProcess } from "./sidecar-process.ts";
import { eventually } from "./with-proxy.ts";

/** An application and the sidecar beside it, in a process each. */
export interface CountingReplica {
  readonly name: string;
  readonly app: CountingApp;
  readonly sidecar: SidecarProcess;
}

/** An application that its sidecar has started, as the parent of it. */
export interface CountingFamily {
  readonly name: string;
  readonly process: RunningProcess;
  /** Where others call it. */
  readonly inbound: string;
  /** The process of the application, once it listens. */
  pid(): Promise<number>;
}

export interface CountingMeshOptions {
  /** Default: the embedded registry in a folder of its own. */
  readonly discovery?: Readonly<Record<string, unknown>>;
  readonly drain?: Readonly<Record<string, unknown>>;
  /** Settings that callers have for it. */
  readonly upstream?: Readonly<Record<string, unknown>>;
  /** The sidecars of callers keep the last good answers in a file. */
  readonly cached?: boolean;
}

/** Counting applications called `counter`, each with its sidecar, and a caller's sidecar, all real processes on loopback. */
export class CountingMesh {
  readonly tally: Tally;
  readonly replicas: CountingReplica[] = [];
  readonly caller: SidecarProcess;
  private readonly folder: string;
  private readonly discovery: Readonly<Record<string, unknown>>;
  private readonly cache: { readonly cache?: string };
  private readonly drain: Readonly<Record<string, unknown>>;
  private readonly started: { kill(): Promise<unknown> }[];

  private constructor(
    folder: string,
    caller: SidecarProcess,
    discovery: Readonly<Record<string, unknown>>,
    cache: { readonly cache?: string },
    drain: Readonly<Record<string, unknown>>,
  ) {
    this.folder = folder;
    this.tally = new Tally(folder);
    this.caller = caller;
    this.discovery = discovery;
    this.cache = cache;
    this.drain = drain;
    this.started = [caller.process];
  }

  static async start(options: CountingMeshOptions = {}): Promise<CountingMesh> {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-counting-"));
    const discovery = options.discovery ?? { directory: { path: join(folder, "mesh") } };
    const cache = options.cached === true ? { cache: join(folder, "cache.json") } : {};
    const caller = await startCaller({ ...discovery, ...cache }, options.upstream);
    return new CountingMesh(folder, caller, discovery, cache, options.drain ?? { notice: "300ms", grace: "5s" });
  }

  /** Starts the sidecar of another caller, with the cache of the first. */
  async anotherCaller(): Promise<SidecarProcess> {
    const caller = await startCaller({ ...this.discovery, ...this.cache });
    this.started.push(caller.process);
    return caller;
  }

  /** Starts another replica. Its application calls `friend`, an application without a sidecar, where there is one. */
  async add(name: string, options: Partial<CountingAppOptions> = {}, friend?: CountingApp): Promise<CountingReplica> {
    const outbound = `127.0.0.1:${friend === undefined ? 0 : await freePort()}`;
    const app = await this.application(name, friend === undefined ? options : { ...options, outbound });
    const loopback = "127.0.0.1:0";
    const sidecar = await startSidecarProcess({
      service: { name: "counter", address: app.address, id: name },
      listeners: { inbound: loopback, outbound, admin: loopback, probe: loopback },
      discovery: this.discovery,
      ...(friend === undefined ? {} : { upstreams: { friend: { discovery: "static", endpoints: [friend.address] } } }),
      drain: this.drain,
      log: { level: "info", access: "errors" },
    });
    this.started.push(sidecar.process);
    const replica = { name, app, sidecar };
    this.replicas.push(replica);
    return replica;
  }

  /** Starts a sidecar that is the parent of another replica (`run -- PROGRAM`). Does not wait for the application. */
  async family(name: string, options: Partial<CountingAppOptions>, friend: CountingApp): Promise<CountingFamily> {
    const loopback = "127.0.0.1:0";
    const port = await freePort();
    const config = {
      service: { name: "counter", address: `127.0.0.1:${port}`, id: name },
      listeners: { inbound: loopback, outbound: loopback, admin: loopback, probe: loopback },
      discovery: this.discovery,
      upstreams: { friend: { discovery: "static", endpoints: [friend.address] } },
      drain: this.drain,
    };
    const command = this.tally.command(name, { ...options, port });
    const process = await startParent(config, command);
    this.started.push(process);
    const [, inbound = ""] = await process.line(/listening for inbound on (127\.0\.0\.1:\d+)/, 20_000);
    return {
      name,
      process,
      inbound,
      pid: async () => Number((await process.line(LISTENING, 20_000))[2]),
    };
  }

  /** Starts an application without a sidecar. */
  async application(name: string, options: Partial<CountingAppOptions> = {}): Promise<CountingApp> {
    const app = await this.tally.start(name, options);
    this.started.push(app.process);
    return app;
  }

  /** Waits until the caller's sidecar has so many replicas to choose from. */
  async reaches(count: number, patience = 20_000): Promise<void> {
    let seen: unknown;
    await eventually(
      async () => {
        seen = await this.caller.admin("/clusters");
        const { clusters } = Object(seen);
        const [counter] = clusters.filter(({ name }: { name: string }) => name === "counter");
        return counter?.endpoints.filter(({ state }: { state: string }) => state === "up").length === count;
      },
      () => `${count} endpoints: ${JSON.stringify(seen)}`,
      patience,
    );
  }

  /** Ends every process, whatever it is doing. */
  async stop(): Promise<void> {
    await Promise.all(this.started.map((process) => process.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

function startCaller(
  discovery: Readonly<Record<string, unknown>>,
  upstream: Readonly<Record<string, unknown>> = {},
): Promise<SidecarProcess> {
  return startSidecarProcess({
    identity: { name: "caller" },
    discovery,
    upstreams: { counter: upstream },
    log: { level: "info", access: "errors" },
  });
}

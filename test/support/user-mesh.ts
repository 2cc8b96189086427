import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Tally } from "./counting.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { Relay } from "./relay.ts";
import { type SidecarProcess, startSidecarProcess } from "./sidecar-process.ts";
import type { AppFault, UserAppOptions } from "./user-app.ts";
import { eventually } from "./with-proxy.ts";

const program = join(import.meta.dirname, "user-app.ts");

/** The id of a user who is there in every replica. */
export const KNOWN = "known";
/** Milliseconds between the two signals of a replica, where they do not come at once. */
const APART = 500;

export interface UserMeshOptions {
  readonly consul: string;
  /** `rateLimits` of the replicas. */
  readonly rateLimits: readonly object[];
  /** What the caller's sidecar has under `upstreams.user`. */
  readonly upstream: object;
  readonly seed: number;
}

/** What is otherwise with a replica. */
interface ReplicaOptions {
  /** Milliseconds after which its application, and its sidecar, send callers to another connection. */
  readonly maxConnectionAge?: number;
}

/**
 * A replica of the user service: an application and the sidecar beside it, in a process each, and a relay, at whose address
 * others find the sidecar. So the address stays when the processes are others.
 */
export class UserReplica {
  readonly name: string;
  readonly relay: Relay;
  private readonly mesh: UserMesh;
  private app: RunningProcess | undefined = undefined;
  private sidecar: SidecarProcess | undefined = undefined;
  private control = "";

  constructor(mesh: UserMesh, name: string, relay: Relay) {
    this.mesh = mesh;
    this.name = name;
    this.relay = relay;
  }

  /** Starts both processes; what others send comes to them. */
  async start({ maxConnectionAge }: ReplicaOptions = {}): Promise<void> {
    const { name, mesh, relay } = this;
    const aging = maxConnectionAge === undefined ? {} : { maxConnectionAgeMs: maxConnectionAge };
    const whole: UserAppOptions = { instance: name, known: KNOWN, ...mesh.forApp(name), ...aging };
    this.app = await startProcess(process.execPath, [program, JSON.stringify(whole)]);
    const [, address = "", control = ""] = await this.app.line(/^user-app (\S+) (\S+)$/, 20_000);
    this.control = control;
    this.sidecar = await startSidecarProcess({
      service: { name: "user", address, id: name, advertise: relay.host },
      ...(maxConnectionAge === undefined ? {} : { connections: { inbound: { maxAge: `${maxConnectionAge}ms` } } }),
      ...mesh.forSidecar,
    });
    await relay.to(Number(this.sidecar.address("inbound").split(":").at(-1)));
  }

  /** Tells the application what to do to its calls. */
  async suffer(fault: AppFault): Promise<void> {
    await (await fetch(`http://${this.control}/${fault}`, { method: "POST" })).arrayBuffer();
  }

  /** Sends both processes a signal. */
  signal(signal: NodeJS.Signals): void {
    this.app?.signal(signal);
    this.sidecar?.process.signal(signal);
  }

  /** Ends both processes at once; nobody listens where they did. */
  async kill(): Promise<void> {
    this.relay.refuse();
    await Promise.all([this.app?.kill(), this.sidecar?.process.kill()]);
  }

  /** Has both processes end in good order, the `first` one a little earlier. */
  async leave(first: "application" | "sidecar" | "both"): Promise<void> {
    const both = [this.app, this.sidecar?.process].filter((process) => process !== undefined);
    for (const process of first === "sidecar" ? both.toReversed() : both) {
      process.signal("SIGTERM");
      if (first !== "both") await sleep(APART);
    }
    for (const exit of await Promise.all(both.map(({ exited }) => exited)))
      if (exit.code !== 0) throw new Error(`a process of ${this.name} ended with ${JSON.stringify(exit)}`);
  }

  async admin(path: string): Promise<unknown> {
    return await this.sidecar?.admin(path);
  }
}

/** Replicas of the user service with their sidecars, and a caller's sidecar, all real processes on loopback. */
export class UserMesh {
  readonly caller: SidecarProcess;
  replicas: UserReplica[] = [];
  private readonly folder: string;
  private readonly options: UserMeshOptions;
  private readonly everybody: UserReplica[] = [];
  private readonly leaving: Promise<void>[] = [];
  private named = 0;

  private constructor(folder: string, caller: SidecarProcess, options: UserMeshOptions) {
    this.folder = folder;
    this.caller = caller;
    this.options = options;
  }

  static async start(options: UserMeshOptions): Promise<UserMesh> {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-users-"));
    const caller = await startSidecarProcess({
      identity: { name: "caller" },
      discovery: { consul: { address: options.consul } },
      upstreams: { user: options.upstream },
      log: { level: "info", access: "errors" },
    });
    return new UserMesh(folder, caller, options);
  }

  /** Starts another replica and waits until the caller's sidecar has it. */
  async add(options: ReplicaOptions = {}): Promise<UserReplica> {
    const replica = new UserReplica(this, `user-${++this.named}`, await Relay.start(0));
    this.everybody.push(replica);
    await replica.start(options);
    this.replicas.push(replica);
    await this.reaches(replica);
    return replica;
  }

  /** Puts another one in the place of a replica: the new one is there before the old one is told to go. `gone` waits for that. */
  async replace(
    old: UserReplica,
    first: "application" | "sidecar" | "both",
    options: ReplicaOptions = {},
  ): Promise<UserReplica> {
    const next = await this.add(options);
    this.replicas = this.replicas.filter((replica) => replica !== old);
    const left = old.leave(first).then(() => old.relay.stop());
    // It is `gone` that fails, whenever it is asked.
    left.catch(() => {});
    this.leaving.push(left);
    return next;
  }

  /** Resolves when those that were replaced have ended, in good order. */
  async gone(): Promise<void> {
    await Promise.all(this.leaving.splice(0));
  }

  /** Waits until the caller's sidecar knows a replica and has nothing against it but what calls to it have come to before. */
  async reaches({ relay: { host } }: UserReplica, patience = 60_000): Promise<void> {
    let seen: unknown;
    await eventually(
      async () => {
        seen = await this.caller.admin("/clusters");
        const { clusters } = seen as {
          clusters: { name: string; endpoints: { address: string; state: string }[] }[];
        };
        const { endpoints = [] } = clusters.find(({ name }) => name === "user") ?? {};
        const state = endpoints.find(({ address }) => address === host)?.state;
        return state !== undefined && state !== "unreachable" && state !== "leaving";
      },
      () => `the caller has ${host}: ${JSON.stringify(seen)}`,
      patience,
    );
  }

  /** How often each user was asked for to be created, over all replicas that there were. */
  executions(): Promise<Map<string, number>> {
    return new Tally(this.folder).executions();
  }

  forApp(name: string): Pick<UserAppOptions, "file" | "seed"> {
    return { file: join(this.folder, `${name}.log`), seed: this.options.seed };
  }

  get forSidecar(): object {
    const { consul, rateLimits } = this.options;
    return {
      discovery: { consul: { address: consul } },
      rateLimits,
      drain: { notice: "1s", grace: "10s" },
      log: { level: "info", access: "errors" },
    };
  }

  /** Ends every process, whatever it is doing. */
  async stop(): Promise<void> {
    for (const replica of this.everybody) replica.signal("SIGCONT");
    await Promise.all([this.caller.process.kill(), ...this.everybody.map((replica) => replica.kill())]);
    await Promise.all(this.everybody.map(({ relay }) => relay.stop()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

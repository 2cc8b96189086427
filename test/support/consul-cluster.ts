import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "./ports.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";
import { eventually } from "./with-proxy.ts";

const SERVERS = 3;
/** Milliseconds for an election on a busy machine. */
const PATIENCE = 60_000;

interface Ports {
  readonly http: number;
  readonly serf: number;
  readonly rpc: number;
}

/** Three Consul servers that keep what they know on disk, and the agent beside the sidecars, which is none of them. */
export class ConsulCluster {
  /** `http://127.0.0.1:PORT` of the agent. */
  readonly address: string;
  private readonly folder: string;
  private readonly ports: readonly Ports[];
  private readonly processes = new Map<number, RunningProcess>();

  private constructor(folder: string, ports: readonly Ports[]) {
    this.folder = folder;
    this.ports = ports;
    this.address = `http://127.0.0.1:${ports[SERVERS]?.http}`;
  }

  static async start(): Promise<ConsulCluster> {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-consul-"));
    const free = await freePorts((SERVERS + 1) * 3);
    const ports = Array.from({ length: SERVERS + 1 }, (_, at) => {
      const [http = 0, serf = 0, rpc = 0] = free.slice(at * 3);
      return { http, serf, rpc };
    });
    const cluster = new ConsulCluster(folder, ports);
    await cluster.startServers();
    await cluster.startAgent();
    await cluster.hasLeader();
    return cluster;
  }

  /** Starts the servers that are not running. */
  async startServers(): Promise<void> {
    for (let at = 0; at < SERVERS; at++)
      if (!this.processes.has(at)) await this.run(at, ["-server", `-bootstrap-expect=${SERVERS}`]);
  }

  /** Kills so many servers; with two of them gone there is no leader. */
  async killServers(count: number): Promise<void> {
    for (const at of [...this.processes.keys()].filter((at) => at < SERVERS).slice(0, count)) {
      await this.processes.get(at)?.kill();
      this.processes.delete(at);
    }
  }

  /** Starts the agent, with what it knew or without. */
  async startAgent(memory: "kept" | "lost" = "kept"): Promise<void> {
    if (memory === "lost") await rm(join(this.folder, `${SERVERS}`), { recursive: true, force: true });
    await this.run(SERVERS, []);
  }

  async killAgent(): Promise<void> {
    await this.processes.get(SERVERS)?.kill();
  }

  /** The agent stands still, its connections open. */
  pauseAgent(): void {
    this.processes.get(SERVERS)?.signal("SIGSTOP");
  }

  resumeAgent(): void {
    this.processes.get(SERVERS)?.signal("SIGCONT");
  }

  /** Waits until the agent knows of a leader. */
  async hasLeader(): Promise<void> {
    let seen = "";
    await eventually(
      async () => {
        seen = await this.leader();
        return /^"[^"]+"$/.test(seen);
      },
      () => `a leader, not ${seen}`,
      PATIENCE,
    );
  }

  /** What the agent says of the leader, or of why it cannot. */
  async leader(): Promise<string> {
    try {
      const answer = await fetch(`${this.address}/v1/status/leader`, { headers: { connection: "close" } });
      return (await answer.text()).trim();
    } catch (error) {
      return String(error);
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.processes.values()].map((process) => process.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }

  private async run(at: number, more: readonly string[]): Promise<void> {
    const ports = this.ports[at];
    if (ports === undefined) throw new Error(`no agent ${at}`);
    const flags = {
      bind: "127.0.0.1",
      client: "127.0.0.1",
      node: `node-${at}`,
      // Whoever comes back without its memory is the same node.
      "node-id": `00000000-0000-0000-0000-00000000000${at}`,
      "data-dir": join(this.folder, `${at}`),
      "log-level": "warn",
      "http-port": `${ports.http}`,
      "server-port": `${ports.rpc}`,
      "serf-lan-port": `${ports.serf}`,
      "serf-wan-port": "-1",
      "dns-port": "-1",
      "grpc-port": "-1",
      "grpc-tls-port": "-1",
    };
    const args = [
      "agent",
      ...Object.entries(flags).flatMap(([name, value]) => [`-${name}`, value]),
      ...this.ports.slice(0, SERVERS).map(({ serf }) => `-retry-join=127.0.0.1:${serf}`),
      "-retry-interval=1s",
      "-hcl=performance { raft_multiplier = 1 }",
      ...more,
    ];
    this.processes.set(at, await startProcess(requirePart("consul"), args));
  }
}

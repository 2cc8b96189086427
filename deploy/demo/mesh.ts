import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Program, startProgram } from "./process.ts";

const ROOT = join(import.meta.dirname, "..", "..");

/** Where the sidecars of a mesh find each other. */
export type Registry = { readonly kind: "directory" } | { readonly kind: "consul"; readonly address: string };

/** A replica of the user service and the sidecar beside it. */
export interface Replica {
  readonly name: string;
  readonly application: Program;
  readonly sidecar: Program;
}

/** The user service in replicas, each with its sidecar, and a caller's sidecar. */
export interface Mesh {
  readonly registry: Registry;
  readonly replicas: readonly Replica[];
  readonly caller: Program;
  /** HOST:PORT for a plain gRPC client. */
  readonly outbound: string;
  /** Resolves once the caller's sidecar can reach every replica. */
  complete(timeout?: number): Promise<void>;
  /** Ends everything: the caller first, then the replicas. */
  stop(): Promise<void>;
}

/** How large the demo's mesh is, and where it keeps what. */
export interface MeshOptions {
  readonly replicas: number;
  readonly registry: Registry;
  /** Where the replicas keep their users; default: a file of their own that is gone with the mesh. */
  readonly database?: string | undefined;
  /** Called as parts come up, for people. */
  readonly progress?: (message: string) => void;
}

/** Starts a mesh of real processes on loopback. Rejects with the last words of what did not come up; nothing stays behind. */
export async function startMesh({
  replicas: count,
  registry,
  database,
  progress = () => {},
}: MeshOptions): Promise<Mesh> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-demo-"));
  const discovery =
    registry.kind === "consul"
      ? { consul: { address: registry.address } }
      : { directory: { path: join(folder, "mesh") } };
  // Sidecars talk to each other by TLS only, each with a certificate of an authority that the first of them makes.
  const mtls = { mode: "strict", source: { development: { path: join(folder, "ca") } } };
  const programs: Program[] = [];
  const start: Start = async (name, args, input, env) => {
    const program = await startProgram(name, args, input, env);
    programs.unshift(program);
    return program;
  };
  const stop = async (): Promise<void> => {
    // Callers go before those whom they call, applications before the sidecars that carry their calls.
    const [caller, ...rest] = programs;
    await caller?.stop();
    await Promise.all(rest.map((program) => program.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const replicas = await Promise.all(
      Array.from({ length: count }, async (_, at): Promise<Replica> => {
        const name = `user-${at + 1}`;
        const flags = ["--listen", "127.0.0.1:0", "--instance", name, "--max-message-bytes=-1"];
        const application = await start(name, [join(ROOT, "services/user/main.ts"), ...flags], "", {
          DATABASE: database ?? join(folder, "users.sqlite"),
        });
        const sidecar = await startSidecar(start, `${name}'s sidecar`, {
          service: { name: "user", address: application.ready.get("address") },
          listeners: { ...anyPort, inbound: "127.0.0.1:0" },
          discovery,
          mtls,
        });
        progress(`${name} on ${application.ready.get("address")}, its sidecar on ${sidecar.ready.get("inbound")}`);
        return { name, application, sidecar };
      }),
    );
    const caller = await startSidecar(start, "the caller's sidecar", {
      identity: { name: "demo" },
      listeners: anyPort,
      discovery,
      mtls,
      upstreams: { user: {} },
    });
    const outbound = caller.ready.get("outbound") ?? "";
    progress(`the caller's sidecar takes calls on ${outbound}`);
    const complete = (timeout = 20_000): Promise<void> =>
      allReachable(`http://${caller.ready.get("admin")}`, count, timeout);
    return { registry, replicas, caller, outbound, complete, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Start = typeof startProgram;

const anyPort = { outbound: "127.0.0.1:0", admin: "127.0.0.1:0", probe: "127.0.0.1:0" };

/** A sidecar, its configuration given on standard input: JSON is YAML. */
function startSidecar(start: Start, name: string, config: object): Promise<Program> {
  const drain = { notice: "100ms", grace: "3s" };
  return start(name, [join(ROOT, "src/launcher.js"), "run", "-c", "-"], JSON.stringify({ ...config, drain }));
}

/** Waits until the sidecar with that admin address has `count` instances of the user service that it may call. */
async function allReachable(admin: string, count: number, timeout: number): Promise<void> {
  const end = Date.now() + timeout;
  for (;;) {
    const answer: unknown = await (await fetch(`${admin}/clusters`)).json();
    if (reachable(answer) >= count) return;
    if (Date.now() > end)
      throw new Error(`not every replica could be reached within ${timeout} ms: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function reachable(answer: unknown): number {
  const { clusters } = answer as { clusters: { name: string; endpoints: { state: string }[] }[] };
  return clusters.find(({ name }) => name === "user")?.endpoints.filter(({ state }) => state === "up").length ?? 0;
}

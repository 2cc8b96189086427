import { makeCalls, type Row } from "./calls.ts";
import { type Mesh, type Registry, startMesh } from "./mesh.ts";

const REPLICAS = 3;
/** Rounds of calls of every kind: with --once some 350 calls. */
const ROUNDS = 60;

// Whoever reads may leave, as `head` does; what was started here still has to be stopped.
process.stdout.on("error", () => {});

const once = process.argv.includes("--once");
/** What a signal does: ends everything at once, unless there is somebody who ends it in order. */
let onSignal = (): void => process.exit(130);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => onSignal());

try {
  process.exitCode = await main();
} catch (error) {
  say(`The demo has failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}

async function main(): Promise<number> {
  const registry = await findRegistry();
  say(
    registry.kind === "consul"
      ? `Consul answers at ${registry.address}: services are found there.`
      : "No Consul answers: services are found in the embedded registry.",
  );
  const database = process.env.DATABASE || undefined;
  const mesh = await startMesh({ replicas: REPLICAS, registry, database, progress: say });
  try {
    await mesh.complete();
    return once ? await makeOnce(mesh) : await stay(mesh);
  } finally {
    await mesh.stop();
  }
}

/** A Consul that answers, at CONSUL_HTTP_ADDR or where one is by default. */
async function findRegistry(): Promise<Registry> {
  const named = process.env.CONSUL_HTTP_ADDR ?? "127.0.0.1:8500";
  const address = named.includes("://") ? named : `http://${named}`;
  try {
    const answer = await fetch(`${address}/v1/status/leader`, { signal: AbortSignal.timeout(500) });
    const leader: unknown = await answer.json();
    if (answer.ok && typeof leader === "string" && leader !== "") return { kind: "consul", address };
  } catch {
    // Nothing is there, or something that is no Consul.
  }
  return { kind: "directory" };
}

async function makeOnce(mesh: Mesh): Promise<number> {
  const rows = await makeCalls(mesh.outbound, ROUNDS);
  const failed = rows.filter(({ calls, answered }) => calls !== answered);
  process.stdout.write(`\n${table(rows)}\n`);
  for (const row of failed)
    say(`${row.method}: ${row.calls - row.answered} not answered, the last because: ${row.lastError}`);
  const total = rows.reduce((sum, { calls }) => sum + calls, 0);
  say(failed.length === 0 ? `Every one of ${total} calls was answered.` : "Not every call was answered.");
  return failed.length === 0 ? 0 : 1;
}

/** Stays up until it is told to stop, with a few calls a second so that there is something to see. */
async function stay(mesh: Mesh): Promise<number> {
  say(`
The mesh is up, its sidecars talk to each other by TLS. Call it with any gRPC client, :authority user:
  grpcurl -plaintext -authority user -d '{"user":{"email":"a@example.com","display_name":"A"}}' ${mesh.outbound} user.v1.UserService/CreateUser

Admin pages, for a browser:
  http://${mesh.caller.ready.get("admin")}/  the caller's sidecar
${mesh.replicas.map(({ name, sidecar }) => `  http://${sidecar.ready.get("admin")}/  ${name}'s sidecar`).join("\n")}

A few calls are made every second. Stop with Ctrl-C.`);
  let told = false;
  const stop = new Promise<void>((resolve) => {
    const atOnce = onSignal;
    onSignal = () => {
      told = true;
      onSignal = atOnce;
      resolve();
    };
  });
  while (!told) {
    await makeCalls(mesh.outbound, 1);
    await Promise.race([stop, new Promise((resolve) => setTimeout(resolve, 1000))]);
  }
  return 0;
}

function table(rows: readonly Row[]): string {
  const head = ["calls", "answered", "p50 ms", "p99 ms", "kind", "method", "answered by"];
  const lines = rows.map((row) => {
    const times = row.times.toSorted((a, b) => a - b);
    const at = (share: number): string => (times[Math.floor((times.length - 1) * share)] ?? 0).toFixed(1);
    const by = [...row.by].toSorted(([a], [b]) => a.localeCompare(b)).map(([name, count]) => `${name}: ${count}`);
    return [String(row.calls), String(row.answered), at(0.5), at(0.99), row.kind, row.method, by.join(", ")];
  });
  const widths = head.map((title, at) => Math.max(title.length, ...lines.map((line) => line[at]?.length ?? 0)));
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, at) => (at < 4 ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function say(message: string): void {
  process.stdout.write(`${message}\n`);
}

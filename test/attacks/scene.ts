import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { ConnectionOptions } from "node:tls";
import { certificateFiles, TestCa } from "../support/certificates.ts";
import { EngineClient } from "../support/engine-peer.ts";
import { liftedLimits } from "../support/lifted-limits.ts";
import { type RunningProcess, runProcess, startProcess } from "../support/process.ts";
import { type SidecarProcess, startSidecarProcess } from "../support/sidecar-process.ts";
import type { AttackerOptions } from "./attacker.ts";
import type { Figures } from "./front.ts";
import { HonestCallers, type HonestClient } from "./honest.ts";
import { Http1Client } from "./http1-client.ts";
import type { Control, Row } from "./rows.ts";

/** A sidecar, its application, and honest callers. */
export interface Scene {
  readonly sidecar: SidecarProcess;
  readonly callers: HonestCallers;
  /** Ends everything; gives how many requests reached the application that nobody may have seen. */
  end(): Promise<number>;
}

/** The sidecar has a processor of its own where there are two; whoever attacks and measures has the others. */
const PROCESSORS = availableParallelism();
const own = PROCESSORS > 1 ? "0" : undefined;
const others = PROCESSORS > 1 ? `1-${PROCESSORS - 1}` : undefined;

async function pin(pid: number, to: string | undefined): Promise<void> {
  if (to !== undefined) await runProcess("taskset", ["-a", "-p", "-c", to, `${pid}`]).catch(() => {});
}

export async function startScene(
  mode: Row["mode"],
  { lift = {}, openFiles, handshakes }: Partial<Control>,
  deadline: number,
): Promise<Scene> {
  const program = mode === "http1" ? "http1-app.ts" : "app.ts";
  const app = await startProcess(process.execPath, [join(import.meta.dirname, program)]);
  const [, address = ""] = await app.line(/^app (\S+)$/, 30_000);
  const ca = mode === "strict" ? await TestCa.make() : undefined;
  const certificate = ca === undefined ? undefined : await certificateFiles(ca, "up");
  // A sidecar without limits is not to take the machine's memory with it.
  const nodeOptions =
    Object.keys(lift).length === 0 ? [] : ["--max-old-space-size=1024", "--import", liftedLimits(lift)];
  const sidecar = await startSidecarProcess(
    {
      service: { name: "up", address, protocol: mode === "http1" ? "http1" : "http2", health: "none" },
      log: { access: "none" },
      ...(certificate === undefined
        ? {}
        : {
            mtls: { mode, source: { files: certificate.files }, ...(handshakes === undefined ? {} : { handshakes }) },
          }),
    },
    nodeOptions,
  );
  if (openFiles !== undefined)
    await runProcess("prlimit", ["--pid", `${sidecar.pid}`, `--nofile=${openFiles}:${openFiles}`]);
  await pin(sidecar.pid, own);
  await pin(app.pid, others);
  await pin(process.pid, others);
  let tls: ConnectionOptions | undefined;
  if (ca !== undefined) {
    const { certificate: cert, key } = await ca.issue("caller");
    tls = { ca: ca.pem, cert, key };
  }
  const inbound = sidecar.address("inbound");
  const open = (): Promise<HonestClient> =>
    mode === "http1" ? Http1Client.connect(inbound) : EngineClient.connect(inbound, tls);
  const callers = await HonestCallers.connect(deadline, open);
  return {
    sidecar,
    callers,
    end: async () => {
      callers.close();
      await sidecar.process.stop();
      await certificate?.remove();
      app.signal("SIGTERM");
      const [, smuggled] = await app.line(/^smuggled (\d+)$/, 60_000);
      await app.exited;
      return Number(smuggled);
    },
  };
}

/** Starts attackers in a process of their own. */
export async function startAttack(options: AttackerOptions): Promise<{
  readonly figures: () => Promise<Readonly<Record<string, Figures>>>;
  readonly process: RunningProcess;
}> {
  const program = join(import.meta.dirname, "attacker.ts");
  const attacker = await startProcess(process.execPath, [program, JSON.stringify(options)]);
  await pin(attacker.pid, others);
  await attacker.line(/^attacking$/, 30_000);
  return {
    process: attacker,
    figures: async () => {
      const [, json = "{}"] = await attacker.line(/^figures (.*)$/, options.milliseconds + options.patience + 60_000);
      await attacker.exited;
      return JSON.parse(json) as Readonly<Record<string, Figures>>;
    },
  };
}

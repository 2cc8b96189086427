import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RunningProcess, startProcess } from "../../support/process.ts";
import type { Placement, RunningPeer } from "./peer.ts";

/** Starts a program on one processor only; the process id is the program's own. */
export function startPinned(core: number, command: string, args: readonly string[]): Promise<RunningProcess> {
  return startProcess("taskset", ["-c", String(core), command, ...args]);
}

/** Starts a proxy on its processor. */
export async function startProxy(
  placement: Placement,
  port: number,
  command: string,
  args: readonly string[],
): Promise<RunningPeer> {
  const proxy = await startPinned(placement.core, command, args);
  return {
    port,
    pid: proxy.pid,
    output: () => proxy.stdout() + proxy.stderr(),
    stop: async () => {
      await proxy.stop();
    },
  };
}

/** Copies a file beside this folder to the placement's folder with the ports written in; returns its path. */
export function withPorts(template: string, placement: Placement, port: number): string {
  const text = readFileSync(new URL(`../${template}`, import.meta.url), "utf8");
  const path = join(placement.folder, template);
  writeFileSync(
    path,
    text.replaceAll("LISTEN_PORT", String(port)).replaceAll("UPSTREAM_PORT", String(placement.upstreamPort)),
  );
  return path;
}

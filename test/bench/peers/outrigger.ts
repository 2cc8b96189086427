import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, freePorts } from "../../support/ports.ts";
import { runProcess } from "../../support/process.ts";
import type { Peer } from "./peer.ts";
import { startProxy } from "./pinned.ts";
import { versionOf } from "./version.ts";

/** The repository's folder. */
const ROOT = join(import.meta.dirname, "..", "..", "..");

/** How Outrigger is run. */
export interface OutriggerOptions {
  /** The Node to run it on. */
  readonly node: string;
  /** Options of that Node. */
  readonly nodeOptions: readonly string[];
  /** Whether its name says which Node it runs on, so that several can be measured side by side. Default: no. */
  readonly named?: boolean;
}

/** Whether there is an `outrigger run` to measure. */
export function outriggerExists(): boolean {
  return existsSync(join(ROOT, "src", "main.ts"));
}

/** Builds the bundle and unpacks the package, as an installation would have it, into a folder; returns the path of the bin. */
export async function packOutrigger(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const packed = await runProcess("npm", ["pack", "--pack-destination", folder], { cwd: ROOT, timeout: 120_000 });
  const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  if (packed.code !== 0 || archive === undefined) throw new Error(`npm pack failed: ${packed.stderr}`);
  const unpacked = await runProcess("tar", ["-xzf", archive], { cwd: folder });
  if (unpacked.code !== 0) throw new Error(`tar failed: ${unpacked.stderr}`);
  symlinkSync(join(ROOT, "node_modules"), join(folder, "package", "node_modules"));
  return join(folder, "package", "src", "launcher.js");
}

/** One sidecar, as outbound proxy of a caller: everything at its defaults, and one upstream whose endpoint is the echo server. */
export async function outrigger(bin: string, options: OutriggerOptions): Promise<Peer> {
  const version = await versionOf(options.node, ["--version"], /v(\d+\.\d+\.\d+)/);
  return {
    name: options.named ? `outrigger-node${version}` : "outrigger",
    description: `Outrigger on Node ${version} (the packed bundle), everything at its defaults, one worker`,
    start: async (placement) => {
      const [admin, probe] = await freePorts(2);
      const port = await freePort();
      const file = join(placement.folder, "outrigger.yaml");
      writeFileSync(
        file,
        [
          "identity: { name: bench }",
          `listeners: { outbound: "127.0.0.1:${port}", admin: "127.0.0.1:${admin}", probe: "127.0.0.1:${probe}" }`,
          `upstreams: { echo: { discovery: static, endpoints: ["127.0.0.1:${placement.upstreamPort}"] } }`,
          "drain: { notice: 0s, grace: 1s }",
          "",
        ].join("\n"),
      );
      // As marked, the launcher does not go on under the Node that the package pins, nor with the heap that it gives a sidecar.
      const environment = options.named ? ["OUTRIGGER_RELAUNCHED=1"] : [];
      const command = [options.node, ...options.nodeOptions, bin, "run", "-c", file];
      return startProxy(placement, port, "env", [...environment, ...command]);
    },
  };
}

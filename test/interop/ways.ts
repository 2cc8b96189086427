import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningProcess, startProcess } from "../support/process.ts";

const LAUNCHER = join(import.meta.dirname, "..", "..", "src", "launcher.js");
const ANY = "127.0.0.1:0";

/** The ways from a client to an application: HOST:PORT for plain clients, by name. */
export interface Ways {
  readonly direct: string;
  /** Through the caller's sidecar. */
  readonly one: string;
  /** Through the caller's sidecar and the application's. */
  readonly two: string;
  /** The same, and the two talk to each other by TLS. */
  readonly secured: string;
  /** What the sidecars have not ended, by their metrics; empty where they are at rest. */
  unrest(): Promise<string[]>;
  stop(): Promise<void>;
}

/** A sidecar as a process of its own, and the fields of its ready line. */
export interface SidecarProcess {
  readonly process: RunningProcess;
  readonly ready: ReadonlyMap<string, string>;
}

/** `outrigger run` with a configuration on standard input; listeners are on free ports of loopback where it names none. */
export async function startSidecar(config: Readonly<Record<string, unknown>>): Promise<SidecarProcess> {
  const { service, listeners } = config;
  const inbound = service === undefined ? {} : { inbound: ANY };
  const whole = {
    drain: { notice: "0s", grace: "2s" },
    ...config,
    listeners: { ...inbound, outbound: ANY, admin: ANY, probe: ANY, ...(listeners as object | undefined) },
  };
  const process_ = await startProcess(process.execPath, [LAUNCHER, "run", "-c", "-"], { input: JSON.stringify(whole) });
  const [line] = await process_.line(/^outrigger ready .*/, 20_000);
  return {
    process: process_,
    ready: new Map([...line.matchAll(/(\S+?)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value])),
  };
}

/** Starts the sidecars between clients and the application at `address`. */
export async function startWays(address: string): Promise<Ways> {
  const service = { name: "app", address, health: "none" };
  const inbound = await startSidecar({ service });
  const folder = await mkdtemp(join(tmpdir(), "outrigger-ca-"));
  const mtls = { mode: "strict", source: { development: { path: folder } } };
  const secured = await startSidecar({ service, mtls });
  const upstream = (endpoint: string) => ({ discovery: "static", endpoints: [endpoint], listen: ANY });
  const outbound = await startSidecar({
    identity: { name: "caller" },
    mtls,
    upstreams: {
      one: { ...upstream(address), mtls: "disabled" },
      two: { ...upstream(inbound.ready.get("inbound") ?? ""), mtls: "disabled" },
      secured: { ...upstream(secured.ready.get("inbound") ?? ""), identity: "spiffe://*/ns/*/dc/*/svc/app" },
    },
  });
  const sidecars = [outbound, inbound, secured];
  return {
    direct: address,
    one: outbound.ready.get("upstreams.one") ?? "",
    two: outbound.ready.get("upstreams.two") ?? "",
    secured: outbound.ready.get("upstreams.secured") ?? "",
    unrest: async () => (await Promise.all(sidecars.map(unrestOf))).flat(),
    stop: async () => {
      await outbound.process.stop();
      await inbound.process.stop();
      await secured.process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Gauges of calls in flight that are not zero, after giving them a second to get there. */
async function unrestOf({ ready }: SidecarProcess): Promise<string[]> {
  for (let patience = 50; ; patience--) {
    const text = await (await fetch(`http://${ready.get("admin")}/metrics`)).text();
    const lines = text.split("\n").filter((line) => /^outrigger_calls_in_flight\b.* [^0]\S*$/.test(line));
    if (lines.length === 0 || patience === 0) return lines;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

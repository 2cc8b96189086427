// CPU a call costs each of two sidecars between a caller and an application: in plaintext, by mTLS, and two Envoys by mTLS.
// 100 octets, 10 connections of 10 streams, h2load, a grpc-go application; rounds interleaved:
//
//   node test/bench/mtls.ts [ROUNDS]

import { runEnvoy } from "../integration/mtls/envoy.ts";
import { type CertificateFiles, certificateFiles, idOf, TestCa } from "../support/certificates.ts";
import { startProcess } from "../support/process.ts";
import { startSidecarProcess } from "../support/sidecar-process.ts";
import type { ClosedCase } from "./cases.ts";
import { runH2load } from "./h2load.ts";
import { buildLoadPrograms } from "./load-programs.ts";
import { withScratchFolder } from "./scratch-folder.ts";

const LOAD: ClosedCase = {
  kind: "closed",
  id: "mtls",
  generator: "h2load",
  metadata: "repeated",
  size: 100,
  connections: 10,
  streams: 10,
};
const CORE = 1;

/** Two proxies in a row. */
interface Pair {
  readonly name: string;
  readonly port: number;
  /** On the caller's side, and on the application's. */
  readonly pids: readonly [number, number];
  stop(): Promise<void>;
}

async function sidecars(application: string, ca: TestCa | undefined): Promise<Pair> {
  const made: CertificateFiles[] = [];
  const mtls = async (service: string): Promise<object> => {
    if (ca === undefined) return {};
    const files = await certificateFiles(ca, service);
    made.push(files);
    return { mtls: { mode: "strict", source: { files: files.files } } };
  };
  const service = { name: "echo", address: application, health: "none" };
  const inbound = await startSidecarProcess({ service, log: { access: "none" }, ...(await mtls("echo")) });
  const outbound = await startSidecarProcess({
    identity: { name: "bench" },
    log: { access: "none" },
    upstreams: { echo: { discovery: "static", endpoints: [inbound.address("inbound")] } },
    ...(await mtls("bench")),
  });
  return {
    name: ca === undefined ? "outrigger, plaintext" : "outrigger, mTLS",
    port: Number(outbound.address("outbound").split(":")[1]),
    pids: [outbound.pid, inbound.pid],
    stop: async () => {
      await outbound.process.stop();
      await inbound.process.stop();
      await Promise.all(made.map((files) => files.remove()));
    },
  };
}

async function envoys(application: string, ca: TestCa): Promise<Pair> {
  const tls = async (own: string, peer: string) => ({ own: await ca.issue(own), authority: ca.pem, peer: idOf(peer) });
  const inbound = await runEnvoy("downstream", application, await tls("echo", "bench"));
  const outbound = await runEnvoy("upstream", inbound.address, await tls("bench", "echo"));
  return {
    name: "envoy, mTLS",
    port: Number(outbound.address.split(":")[1]),
    pids: [outbound.pid, inbound.pid],
    stop: async () => {
      await outbound.stop();
      await inbound.stop();
    },
  };
}

const rounds = Number(process.argv[2] ?? 3);
const programs = await buildLoadPrograms();
const application = await startProcess(programs.upstream, []);
const [, address = ""] = await application.line(/^listening (\S+)$/);
const ca = await TestCa.make();
const pairs = [await sidecars(address, undefined), await sidecars(address, ca), await envoys(address, ca)];
await withScratchFolder(async (folder) => {
  for (let round = 1; round <= rounds; round++) {
    for (const { name, port, pids } of pairs) {
      const costs: number[] = [];
      let speed = 0;
      for (const pid of pids) {
        const target = { port, pids: [pid], core: CORE, warmup: 0.5, seconds: 2 };
        const { calls, cpuSeconds, callsPerSecond, failures } = await runH2load(LOAD, target, folder);
        if (Object.keys(failures).length > 0) throw new Error(`${name}: ${JSON.stringify(failures)}`);
        costs.push(((cpuSeconds ?? 0) / calls) * 1e6);
        speed = callsPerSecond;
      }
      const [caller = 0, callee = 0] = costs;
      process.stdout.write(
        `round ${round}  ${name.padEnd(22)} caller's side ${caller.toFixed(1)} µs, application's side ${callee.toFixed(1)} µs a call, ${Math.round(speed)} calls/s\n`,
      );
    }
  }
});
for (const pair of pairs) await pair.stop();
await application.stop();

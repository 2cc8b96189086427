import assert from "node:assert/strict";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { userFaults } from "../interop/user-expected.ts";
import { buildPeers } from "../peers/build.ts";
import { type CaptureTool, captureParts, captureTools, ToolBox } from "../support/capture-tools.ts";
import { type CertificateFiles, certificateFiles, idOf, TestCa } from "../support/certificates.ts";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import { capturedIn, PodAgent, REFUSED, SIDECAR, startSidecar, userServer } from "../support/pod-programs.ts";
import type { RunningProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { eventually } from "../support/with-proxy.ts";

// Each tool that sets rules, and each family of addresses: a caller and a service with their sidecars, under strict mTLS, and a
// stranger without one. The service is dialled at its own port, so that its sidecar gets what comes by redirection only.

const parts = skipUnless("go", ...captureParts);
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };

const families = ["v4", "v6"] as const;
type Family = (typeof families)[number];

/** Where the service is said to be: nobody is there. */
const NOWHERE = { v4: "10.96.0.10", v6: "fd96::10" };
/** A cloud's metadata services: that of most, and that of EC2 over IPv6. */
const METADATA = { v4: "169.254.169.254", v6: "fd00:ec2::254" };

/**
 * The service's names in the caller's /etc/hosts, one for each tool and family. Each is an upstream of its own, so that the
 * caller's sidecar makes a new connection under the rules of each tool.
 */
const nameOf = ({ variant }: CaptureTool, family: Family): string =>
  `user${family === "v6" ? "6" : ""}${variant === undefined ? "" : `-${variant}`}`;
const names = captureTools.flatMap((tool) => families.map((family) => ({ name: nameOf(tool, family), family })));

let network: PodNetwork;
let caller: Pod;
let service: Pod;
let stranger: Pod;
let folder: string;
let goCaller: string;
let tools: ToolBox;
let keys: { readonly caller: CertificateFiles; readonly service: CertificateFiles };
let serviceSidecar: RunningProcess;
let application: RunningProcess;
let inCaller: PodAgent;
let inService: PodAgent;
let inStranger: PodAgent;
const running: RunningProcess[] = [];

async function keep(started: Promise<RunningProcess>): Promise<RunningProcess> {
  const one = await started;
  running.push(one);
  return one;
}

async function agentIn(pod: Pod): Promise<PodAgent> {
  const agent = await PodAgent.start(pod, folder);
  running.push(agent.process);
  return agent;
}

before(async () => {
  if (guard.skip !== false) return;
  goCaller = (await buildPeers()).userservice;
  network = await PodNetwork.make();
  caller = await network.pod(Object.fromEntries(names.map(({ name, family }) => [name, NOWHERE[family]])));
  service = await network.pod();
  stranger = await network.pod();
  for (const address of Object.values(METADATA)) await network.hubHas(address);
  folder = await mkdtemp(join(tmpdir(), "families-"));
  await chmod(folder, 0o755);
  tools = new ToolBox(folder);
  const ca = await TestCa.make();
  keys = { caller: await certificateFiles(ca, "shop"), service: await certificateFiles(ca, "user") };
  for (const { folder: one, files } of Object.values(keys)) {
    await chmod(one, 0o755);
    await chown(files.key, SIDECAR, SIDECAR);
  }
  await writeConfigs({});
  const [cloud] = await Promise.all([
    agentIn(network.hub),
    agentIn(caller).then((agent) => (inCaller = agent)),
    agentIn(service).then((agent) => (inService = agent)),
    agentIn(stranger).then((agent) => (inStranger = agent)),
    keep(userServer(service, "127.0.0.1:50051")).then((user) => (application = user)),
    keep(startSidecar(caller, { file: configOf("caller") })),
    keep(startSidecar(service, { file: configOf("service") })).then((sidecar) => (serviceSidecar = sidecar)),
  ]);
  await cloud.servePage(80, "metadata for ");
  await inStranger.serveBanner(7000);
  await inService.servePage(8080);
  await inService.servePage(9999, "secret for ", "127.0.0.1");
  await inService.servePage(9998, "secret for ", "::1");
  await inCaller.servePage(9999, "secret for ", "127.0.0.1");
});

after(async () => {
  if (guard.skip !== false) return;
  for (const one of running.reverse()) await one.kill();
  await network.close();
  for (const files of Object.values(keys)) await files.remove();
  await rm(folder, { recursive: true, force: true });
});

const configOf = (pod: "caller" | "service"): string => join(folder, `${pod}.yaml`);

/** `allow`: what captured connections of either pod may go on to all the same. */
async function writeConfigs({ allow = [] }: { allow?: readonly string[] }): Promise<void> {
  const common = (who: CertificateFiles) => ({
    mtls: { mode: "strict", source: { files: who.files } },
    log: { level: "debug", access: "all" },
    drain: { notice: "10ms", grace: "60s" },
  });
  const upstreams = Object.fromEntries(
    names.map(({ name, family }) => [
      name,
      { discovery: "static", endpoints: [`${addressOf(service, family)}:50051`], identity: idOf("user") },
    ]),
  );
  const shop = { identity: { name: "shop" }, upstreams, capture: { allow }, ...common(keys.caller) };
  const user = {
    service: { name: "user", address: "127.0.0.1:50051" },
    capture: { otherPorts: "pass", allow },
    ...common(keys.service),
  };
  await writeFile(configOf("caller"), JSON.stringify(shop));
  await writeFile(configOf("service"), JSON.stringify(user));
}

/** Has the rules of a tool in force in the pods of the caller and the service, and no others. */
async function under(tool: CaptureTool, body: () => Promise<void>): Promise<void> {
  const config = { service: { name: "user", address: "127.0.0.1:50051" }, capture: { rules: tool.rules } };
  const pods = [caller, service];
  const run = async (args: readonly string[]): Promise<void> => {
    const done = await Promise.all(pods.map((pod) => tools.capture(pod, tool, config, args)));
    for (const { code, stderr } of done) assert.equal(code, 0, stderr);
  };
  await run([]);
  try {
    await body();
  } finally {
    await run(["--remove"]);
  }
}

function addressOf(pod: Pod, family: Family): string {
  return family === "v4" ? pod.address : `[${pod.address6}]`;
}

/** How many more connections a sidecar has counted after `body`. */
async function more(
  agent: PodAgent,
  wanted: Parameters<typeof capturedIn>[1],
  body: () => Promise<void>,
): Promise<number> {
  const before = capturedIn(await agent.metrics(), wanted);
  await body();
  return capturedIn(await agent.metrics(), wanted) - before;
}

/** A caller in Go reaches the service. */
async function callsInGo(target: string): Promise<void> {
  const cases = ["unary", "list", "watch"];
  const called = await caller.run([goCaller, "-target", target, ...cases]);
  assert.equal(called.code, 0, `${target}: ${called.stderr}`);
  const lines = called.stdout.trim().split("\n");
  assert.equal(lines.length, cases.length);
  for (const line of lines) {
    const answer: { readonly case: string; readonly seen: readonly object[] } = JSON.parse(line);
    assert.equal(userFaults(answer.case, answer.seen), undefined, target);
  }
}

/** So does one on grpc-js. */
async function callsInNode(targets: readonly string[]): Promise<void> {
  const called = await caller.run([process.execPath, join(import.meta.dirname, "grpc-caller.ts"), ...targets]);
  assert.equal(called.stdout, "read Ada\n".repeat(targets.length), called.stderr);
}

/** Nothing of what is on loopback, nor of the sidecar's own, is reached from another pod. */
async function isolated(): Promise<void> {
  const ports = [9999, 9998, 15000, 15001, 15011, 15016, 50051];
  const urls = ports.flatMap((port) => families.map((family) => `http://${addressOf(service, family)}:${port}/`));
  const got = await Promise.all(urls.map((url) => inStranger.get(url)));
  for (const [at, text] of got.entries()) assert.match(text, REFUSED, `${urls[at]}`);
}

/** Where a connection was going is known, inbound and outbound. */
async function destinations(): Promise<void> {
  for (const family of families) {
    const banner = await inCaller.hear(family === "v4" ? stranger.address : stranger.address6, 7000);
    assert.equal(banner, "220 hello\r\n", family);
    const page = `${addressOf(service, family)}:8080`;
    assert.equal(await inStranger.get(`http://${page}/`), `page for ${page}`);
  }
}

test("what another pod must not reach is reached from inside of it", guard, async () => {
  for (const url of ["http://127.0.0.1:9999/", "http://[::1]:9998/", "http://127.0.0.1:15000/live"])
    assert.match(await inService.get(url), /^secret for |true/);
});

for (const tool of captureTools)
  test(
    `${tool.name}: callers in Go and on grpc-js that dial user:50051 reach it through both sidecars with mTLS, over both families; other traffic goes where it was going, and loopback is nobody else's`,
    guard,
    async () => {
      await under(tool, async () => {
        const targets = families.map((family) => `${nameOf(tool, family)}:50051`);
        const inward = { direction: "inbound", result: "mesh" };
        const refusals = { direction: "outbound", result: "refused" };
        const meshed = { direction: "outbound", result: "mesh", protocol: "http2" };
        const relayed = { direction: "outbound", result: "relayed" };
        assert.equal(
          await more(inCaller, refusals, async () => {
            const arrived = await more(inService, inward, async () => {
              const captured = await more(inCaller, meshed, async () => {
                for (const target of targets) await callsInGo(target);
                await callsInNode(targets);
              });
              assert.ok(captured >= 2 * targets.length, `${captured} of the callers' connections were captured`);
            });
            // One of each family at least, from the caller's sidecar: captured where it arrives, and not where it begins.
            assert.ok(arrived >= targets.length, `${arrived} connections arrived`);
            assert.equal(await more(inCaller, relayed, destinations), families.length);
          }),
          0,
        );
        await isolated();
      });
      // The service's sidecar knows by its certificate who has called.
      const calls = serviceSidecar.stderr().split("\n");
      assert.ok(calls.some((line) => line.includes(idOf("shop")) && line.includes("UserService/GetUser")));
      const without = async (): Promise<void> => {
        for (const family of families) {
          const page = `${addressOf(service, family)}:8080`;
          assert.equal(await inCaller.get(`http://${page}/`), `page for ${page}`);
        }
      };
      assert.equal(await more(inCaller, {}, () => more(inService, {}, without).then((n) => assert.equal(n, 0))), 0);
    },
  );

test(
  "a cloud's metadata service is called by nobody through the sidecar, over either family, until it is listed",
  guard,
  async () => {
    const asked = [METADATA.v4, `[${METADATA.v6}]`];
    const [nftables] = captureTools;
    assert.ok(nftables !== undefined);
    await under(nftables, async () => {
      for (const host of asked) {
        assert.equal(await inStranger.get(`http://${host}/`), `metadata for ${host}`, "without a sidecar");
        assert.match(await inCaller.get(`http://${host}/`), REFUSED, host);
        assert.equal(await inCaller.call(host), "NO_ROUTE", `${host} by HTTP/2`);
      }
      await writeConfigs({ allow: asked.map((host) => `${host}:80`) });
      for (const host of asked)
        await eventually(
          async () => (await inCaller.get(`http://${host}/`)) === `metadata for ${host}`,
          () => `${host} is listed`,
          60_000,
        );
    });
  },
);

/** Has what a pod sends to ports of its own loopback redirected to one of the sidecar's, as a stray rule of somebody else might. */
async function stray(pod: Pod, ports: readonly number[], to: number, body: () => Promise<void>): Promise<void> {
  const rules = `add table inet stray
add chain inet stray out { type nat hook output priority -101; }
add rule inet stray out meta skuid != ${SIDECAR} ip daddr 127.0.0.1 tcp dport { ${ports.join(", ")} } redirect to :${to}
`;
  const nft = requirePart("nft");
  assert.equal((await pod.run([nft, "-f", "-"], { input: rules })).code, 0);
  try {
    await body();
  } finally {
    await pod.run([nft, "delete", "table", "inet", "stray"]);
  }
}

test(
  "loopback is not called through the sidecar unless it is listed, and a listener of its own never",
  guard,
  async () => {
    const said = (port: number): Promise<string> => inCaller.get(`http://127.0.0.1:${port}/live`);
    await writeConfigs({});
    assert.match(await said(9999), /^secret for /, "without a rule");
    await stray(caller, [9999, 15000], 15011, async () => {
      for (const port of [9999, 15000]) assert.match(await said(port), REFUSED, `${port}`);
      await writeConfigs({ allow: ["127.0.0.1:9999", "127.0.0.1:15000"] });
      await eventually(
        async () => (await said(9999)).startsWith("secret for "),
        () => "what is listed",
        60_000,
      );
      assert.match(await said(15000), REFUSED, "a listener, listed or not");
    });
  },
);

test("what is listed is for the application: what comes in from outside never goes on to loopback", guard, async () => {
  await writeConfigs({ allow: ["127.0.0.1:9999"] });
  const direct = (): Promise<string> => inService.get("http://127.0.0.1:9999/");
  await eventually(
    async () => (await inService.get("http://127.0.0.1:15000/config")).includes('"127.0.0.1:9999"'),
    () => "the sidecar has read it",
    60_000,
  );
  await stray(service, [9999], 15016, async () => {
    const refusals = { direction: "inbound", result: "refused" };
    assert.equal(await more(inService, refusals, async () => assert.match(await direct(), REFUSED)), 1);
  });
  assert.match(await direct(), /^secret for /);
});

test(
  "while its sidecar drains a pod takes no captured connection in, and sends out what the application has until it is gone",
  guard,
  async () => {
    const [nftables] = captureTools;
    assert.ok(nftables !== undefined);
    await under(nftables, async () => {
      const page = `http://${service.address}:8080/`;
      assert.match(await inStranger.get(page), /^page for /);
      serviceSidecar.signal("SIGTERM");
      await serviceSidecar.line(/stays until the application has gone/, 60_000);
      assert.match(await inStranger.get(page), REFUSED);
      assert.equal(await inService.hear(stranger.address, 7000), "220 hello\r\n");
      await application.kill();
      assert.deepEqual(await serviceSidecar.exited, { code: 0, signal: null });
    });
  },
);

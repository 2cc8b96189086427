import assert from "node:assert/strict";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type CertificateFiles, certificateFiles, idOf, TestCa } from "../support/certificates.ts";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import {
  capturedIn,
  outrigger,
  PodAgent,
  REFUSED,
  SIDECAR,
  startSidecar,
  userServer,
} from "../support/pod-programs.ts";
import type { RunningProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { eventually } from "../support/with-proxy.ts";

// Pods of this test's own: a caller and a service, each with a sidecar that its traffic is redirected to, a service without
// mTLS, whose sidecar has two threads, and a stranger that has none. Programs dial what they would without any mesh.

const node = process.execPath;
const parts = skipUnless("consul", "grpcurl", "nft", "iptables", "ip");
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };
/** Where the service is said to be: nobody is there, and no router knows it. */
const NOWHERE = "10.96.0.10";

let network: PodNetwork;
let caller: Pod;
let service: Pod;
let stranger: Pod;
let plain: Pod;
let inCaller: PodAgent;
let inService: PodAgent;
let inStranger: PodAgent;
let inPlain: PodAgent;
let folder: string;
/** The configuration of the sidecar of `plain`, which is changed while it runs. */
let plainFile: string;
const running: RunningProcess[] = [];
const certificates: CertificateFiles[] = [];

before(async () => {
  if (guard.skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), "pods-"));
  await chmod(folder, 0o755);
  network = await PodNetwork.make();
  const { hub } = network;
  caller = await network.pod({ user: NOWHERE, db: "10.77.0.4", db6: "fd77::4" });
  service = await network.pod();
  stranger = await network.pod();
  plain = await network.pod({ db: "10.77.0.4" });
  assert.equal(stranger.address, "10.77.0.4");
  await keep(hub.start([requirePart("consul"), "agent", "-dev", "-bind", hub.address, "-client", hub.address]));
  // TLS of its own, which says by which name it was called.
  const ca = await TestCa.make();
  const own = await certificateFiles(ca, "page");
  certificates.push(own);
  const secure = `const fs = require("fs"); require("tls").createServer({ cert: fs.readFileSync(${JSON.stringify(own.files.cert)}), key: fs.readFileSync(${JSON.stringify(own.files.key)}) }, (s) => s.end("secret for " + s.servername)).listen(9443, "::", () => console.log("up"))`;
  await (await keep(stranger.start([node, "-e", secure]))).line(/^up$/, 30_000);
  [inCaller, inService, inStranger, inPlain] = await Promise.all([
    agentIn(caller),
    agentIn(service),
    agentIn(stranger),
    agentIn(plain),
    keep(userServer(service, "0.0.0.0:50051")),
    keep(userServer(plain, "127.0.0.1:50051")),
  ]);
  await inStranger.serveBanner(7000);
  await inStranger.servePage(8080);
  await inStranger.servePage(8082);
  await inStranger.servePage(4318, "collected for ");
  // In the pods of the services: what only the pod itself should reach, and another port of the application.
  for (const agent of [inService, inPlain]) {
    await agent.servePage(9999, "secret for ", "127.0.0.1");
    await agent.servePage(8080);
  }

  const consul = { consul: { address: `http://${hub.address}:8500` } };
  plainFile = join(folder, "plain.yaml");
  await writePlain({});
  await Promise.all([
    secured(ca, service, "user", {
      service: { name: "user", address: "127.0.0.1:50051" },
      discovery: consul,
    }),
    // Besides calls, the caller's sidecar asks Consul, checks the service's health and exports spans.
    secured(ca, caller, "shop", {
      identity: { name: "shop" },
      discovery: consul,
      upstreams: { user: { identity: idOf("user"), healthCheck: { kind: "grpc", interval: "1s" } } },
      tracing: { otlp: `http://${stranger.address}:4318`, sampling: "100%" },
    }),
    captured(plain, { file: plainFile }),
  ]);
  await eventually(
    async () => (await inCaller.metrics()).includes('outrigger_endpoints{upstream="user",state="up"} 1'),
    () => "the caller's sidecar knows the service",
    60_000,
  );
});

after(async () => {
  if (guard.skip !== false) return;
  for (const one of running.reverse()) await one.kill();
  await network.close();
  for (const files of certificates) await files.remove();
  await rm(folder, { recursive: true, force: true });
});

/** Sets the rules of a pod and starts its sidecar. */
async function captured(pod: Pod, config: Parameters<typeof startSidecar>[1], user = SIDECAR): Promise<RunningProcess> {
  const [file, input] = "file" in config ? [config.file, {}] : ["-", { input: config.text }];
  const set = await pod.run([...outrigger, "capture", "-c", file], input);
  assert.equal(set.code, 0, set.stderr);
  return await keep(startSidecar(pod, config, user));
}

/** With strict mTLS, as `name`. */
async function secured(ca: TestCa, pod: Pod, name: string, config: object): Promise<void> {
  const files = await certificateFiles(ca, name);
  certificates.push(files);
  await chmod(files.folder, 0o755);
  await chown(files.files.key, SIDECAR, SIDECAR);
  const text = JSON.stringify({
    ...config,
    mtls: { mode: "strict", source: { files: files.files } },
    capture: {},
    log: { level: "debug", access: "all" },
    drain: { notice: "10ms", grace: "1s" },
  });
  await captured(pod, { text });
}

function writePlain(more: object, capture: object = {}): Promise<void> {
  const config = {
    service: { name: "plain", address: "127.0.0.1:50051" },
    upstreams: { page: { discovery: "static", endpoints: ["10.77.0.4:8080"] } },
    workers: 2,
    capture,
    drain: { notice: "10ms", grace: "1s" },
    ...more,
  };
  return writeFile(plainFile, JSON.stringify(config));
}

async function agentIn(pod: Pod): Promise<PodAgent> {
  const agent = await PodAgent.start(pod, folder);
  running.push(agent.process);
  return agent;
}

async function keep(started: Promise<RunningProcess>): Promise<RunningProcess> {
  const one = await started;
  running.push(one);
  return one;
}

test(
  "a grpc-js caller that dials user:50051 with no change at all reaches the service, through both sidecars and mTLS",
  guard,
  async () => {
    const called = await caller.run([node, join(import.meta.dirname, "grpc-caller.ts"), "user:50051"]);
    assert.equal(called.stdout, "read Ada\n", called.stderr);
    const inbound = await inService.metrics();
    assert.match(
      inbound,
      /outrigger_calls_handled_total\{direction="inbound",upstream="user",method="user\.v1\.UserService\/CreateUser",grpc_status="OK"[^}]*\} 1\n/,
    );
    assert.match(inbound, /outrigger_tls_handshakes_total\{[^}]*result="ok"[^}]*\} [1-9]/);
  },
);

test("so does one in Go", guard, async () => {
  const called = await caller.run([requirePart("grpcurl"), "-plaintext", "-max-time", "20", "user:50051", "list"]);
  assert.match(called.stdout, /user\.v1\.UserService/, called.stderr);
});

test("a connection whose server speaks first goes through without a delay, over IPv4 and IPv6", guard, async () => {
  for (const host of ["db", "db6"]) {
    assert.equal(await inCaller.hear(host, 7000), "220 hello\r\n", host);
  }
});

test("the application's other traffic still works: HTTP/1 to a host outside of the mesh", guard, async () => {
  assert.equal(await inCaller.get("http://db:8080/"), "page for db:8080");
});

test(
  "the sidecar's own traffic is not captured: calls, Consul, health checks, spans; what is captured is counted by what it spoke",
  guard,
  async () => {
    const checks =
      /outrigger_calls_handled_total\{direction="inbound",upstream="user",method="grpc\.health\.v1\.Health\/Check",grpc_status="OK"[^}]*\} [1-9]/;
    await eventually(
      async () => checks.test(await inService.metrics()),
      () => "the service's health is asked",
      60_000,
    );
    await eventually(
      async () => /outrigger_spans_total\{result="exported"\} [1-9]/.test(await inCaller.metrics()),
      () => "spans are exported",
      60_000,
    );
    const text = await inCaller.metrics();
    const outbound = (result: string, protocol: string): number =>
      capturedIn(text, { direction: "outbound", result, protocol });
    assert.equal(outbound("mesh", "http2"), 2);
    assert.equal(outbound("relayed", "http1"), 1);
    assert.equal(outbound("relayed", "unknown"), 2);
    assert.equal(capturedIn(text, { direction: "outbound" }), 5, "of the application, and none besides");
  },
);

test(
  "another pod reaches neither what is on loopback of this one, nor the application past its sidecar",
  guard,
  async () => {
    const { address } = service;
    for (const [what, port] of [
      ["a debug port on loopback", 9999],
      ["the admin page", 15000],
      ["the port that captured connections come in at, called directly", 15016],
      ["the port for the application's own, called directly", 15011],
      ["another port, which is refused under strict mTLS", 8080],
    ] as const)
      assert.match(await inStranger.get(`http://${address}:${port}/`), REFUSED, what);
    const plain = await stranger.run([
      requirePart("grpcurl"),
      "-plaintext",
      "-max-time",
      "3",
      `${address}:50051`,
      "list",
    ]);
    assert.notEqual(plain.code, 0, "the service without a certificate");
    assert.equal((await inStranger.get(`http://${address}:15021/live`)).includes("true"), true, "the probe port");
  },
);

test("two threads share what is redirected, and see the same of it as one", guard, async () => {
  const { address } = plain;
  const list = ["-plaintext", "-max-time", "20", `${address}:50051`, "list"];
  for (let call = 0; call < 6; call++) {
    const asked = await stranger.run([requirePart("grpcurl"), ...list]);
    assert.match(asked.stdout, /user\.v1\.UserService/, asked.stderr);
    assert.equal(await inPlain.get("http://db:8080/"), "page for db:8080");
  }
  assert.equal(await inPlain.hear("db", 7000), "220 hello\r\n");
  const text = await inPlain.metrics();
  assert.match(text, /outrigger_workers 2\n/);
  const counted = (labels: string): RegExp =>
    new RegExp(`outrigger_captured_connections_total\\{${labels}\\} (\\d+)\n`);
  for (const [labels, least] of [
    // A service is declared by its port, so nobody looks at what it speaks.
    ['direction="inbound",result="mesh",protocol="unknown"', 6],
    ['direction="outbound",result="relayed",protocol="http1"', 6],
    ['direction="outbound",result="relayed",protocol="unknown"', 1],
  ] as const)
    assert.equal(Number(counted(labels).exec(text)?.[1]), least, labels);
});

test(
  "otherPorts: pass leads to the pod's own address, never to what is on loopback or the sidecar's; refuse leads nowhere",
  guard,
  async () => {
    const { address } = plain;
    const asked = async (port: number): Promise<string> => await inStranger.get(`http://${address}:${port}/`);
    assert.equal(await asked(8080), `page for ${address}:8080`);
    for (const [what, port] of [
      ["a debug port on loopback", 9999],
      ["the admin page", 15000],
      ["the outbound listener", 15001],
      ["the port that captured connections come in at, called directly", 15016],
      ["the port for the application's own, called directly", 15011],
    ] as const)
      assert.match(await asked(port), REFUSED, what);
    await writePlain({}, { otherPorts: "refuse" });
    await eventually(
      async () => (await asked(8080)).startsWith("error"),
      () => "another port is refused, by both threads",
      20_000,
    );
    for (let again = 0; again < 6; again++) assert.match(await asked(8080), /^error/);
  },
);

test("egress: declared leads to the endpoints of declared upstreams only", guard, async () => {
  const said = async (): Promise<string> => await inPlain.hear("db", 7000);
  assert.equal(await said(), "220 hello\r\n");
  await writePlain({ egress: "declared" });
  await eventually(
    async () => (await said()) !== "220 hello\r\n",
    () => "a server that no upstream has is not reached",
    60_000,
  );
  assert.equal(await inPlain.get("http://db:8080/"), "page for db:8080");
});

test("a port that is declared is not looked at: it is what it is declared to be", guard, async () => {
  /** Has a declaration in force: connections to the port are counted as these. */
  const declared = async (protocols: object, counted: object, use: () => Promise<boolean>): Promise<void> => {
    const before = capturedIn(await inPlain.metrics(), counted);
    await writePlain({ protocols });
    await eventually(
      async () => (await use()) && capturedIn(await inPlain.metrics(), counted) > before,
      () => `${JSON.stringify(protocols)}: ${JSON.stringify(counted)}`,
      60_000,
    );
  };
  const get = async (): Promise<boolean> => (await inPlain.get("http://db:8082/")) === "page for db:8082";
  const outbound = { direction: "outbound" };
  await declared({ "8082": "tcp" }, { ...outbound, result: "relayed", protocol: "unknown" }, get);
  await declared({ "8082": "http1" }, { ...outbound, result: "mesh", protocol: "http1" }, get);
  // Nobody listens there.
  const call = async (): Promise<boolean> => (await inPlain.call("db:9000")) === "CONNECT_REFUSED";
  await declared({ "9000": "http2" }, { ...outbound, result: "mesh", protocol: "unknown" }, call);
});

test(
  "HTTP/1.1 of an upstream is a request like any other, and TLS goes by the name that it asks for",
  guard,
  async () => {
    const upstreams = {
      page: { protocol: "http1", discovery: "static", endpoints: ["10.77.0.4:8080"], hosts: ["pages.internal"] },
      vault: { protocol: "tcp", discovery: "static", endpoints: ["10.77.0.4:9443"], hosts: ["vault.example"] },
    };
    await writePlain({ egress: "declared", upstreams });
    // Nobody listens at the address that is dialled: the name leads there.
    const script = `const s = require("tls").connect({ host: "10.77.0.4", port: 9444, servername: "vault.example", rejectUnauthorized: false }); s.on("data", (d) => process.stdout.write(d)); s.on("error", (e) => process.stdout.write("error " + e.code))`;
    let said = "";
    await eventually(
      async () => {
        said = (await plain.run([node, "-e", script])).stdout;
        return said === "secret for vault.example";
      },
      () => `the server of that name: ${said}`,
      60_000,
    );
    assert.equal(await inPlain.get("http://db:8080/"), "page for db:8080");
    const text = await inPlain.metrics();
    const handled = (upstream: string, method: string): RegExp =>
      new RegExp(
        `outrigger_calls_handled_total\\{direction="outbound",upstream="${upstream}",method="${method}",grpc_status="OK",reason="",origin="app"\\} [1-9]`,
      );
    assert.match(text, handled("page", "HTTP/GET"));
    assert.match(text, handled("vault", "TCP/connection"));
  },
);

for (const workers of [1, 2])
  test(
    `a sidecar of ${workers} threads whose own connections are redirected to it notices: none goes round in a circle`,
    guard,
    async () => {
      const pod = await network.pod({ db: "10.77.0.4" });
      const text = JSON.stringify({
        capture: {},
        workers,
        log: { level: "debug" },
        drain: { notice: "10ms", grace: "1s" },
      });
      // The rules leave out user 15001.
      const sidecar = await captured(pod, { text }, 4242);
      const agent = await agentIn(pod);
      const connections = 60;
      const said = await Promise.all(Array.from({ length: connections }, () => agent.get("http://db:8080/")));
      for (const one of said) assert.match(one, REFUSED);
      const own = capturedIn(await agent.metrics(), { direction: "outbound" }) - connections;
      assert.ok(own >= connections, `${own} were dialled for ${connections}`);
      // Between threads it is noticed only if they share what they know: about half of it would go unnoticed otherwise.
      const noticed = (): number =>
        sidecar
          .stderr()
          .split("\n")
          .filter((line) => line.includes("this sidecar's own")).length;
      await eventually(
        () => noticed() >= 0.75 * own,
        () => `${noticed()} of ${own} were noticed`,
        20_000,
      );
    },
  );

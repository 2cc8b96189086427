import assert from "node:assert/strict";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { type CertificateFiles, certificateFiles, idOf, TestCa } from "../support/certificates.ts";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import type { RunningProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { eventually } from "../support/with-proxy.ts";

// Pods of this test's own: a caller and a service, each with a sidecar that its traffic is redirected to, a service without
// mTLS, whose sidecar has two threads, and a stranger that has none. Programs dial what they would without any mesh.

const root = join(import.meta.dirname, "..", "..");
const node = process.execPath;
const main = join(root, "src", "main.ts");
const parts = skipUnless("consul", "grpcurl", "nft", "iptables", "ip");
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };
/** As in its image. */
const SIDECAR = 15001;
/** Where the service is said to be: nobody is there, and no router knows it. */
const NOWHERE = "10.96.0.10";

let network: PodNetwork;
let caller: Pod;
let service: Pod;
let stranger: Pod;
let plain: Pod;
/** The configuration of the sidecar of `plain`, which is changed while it runs. */
let plainFile: string;
let plainSidecar: RunningProcess;
const running: RunningProcess[] = [];
const certificates: CertificateFiles[] = [];

before(async () => {
  if (guard.skip !== false) return;
  network = await PodNetwork.make();
  const { hub } = network;
  caller = await network.pod({ user: NOWHERE, db: "10.77.0.4", db6: "fd77::4" });
  service = await network.pod();
  stranger = await network.pod();
  plain = await network.pod({ db: "10.77.0.4" });
  assert.equal(stranger.address, "10.77.0.4");
  await keep(hub.start([requirePart("consul"), "agent", "-dev", "-bind", hub.address, "-client", hub.address]));
  const said = (pod: Pod, script: string): Promise<RunningProcess> => keep(pod.start([node, "-e", script]));
  // Of the stranger: what speaks first, and HTTP/1.
  const banner = `require("net").createServer((s) => s.end("220 hello\\r\\n")).listen(7000, "::", () => console.log("up"))`;
  const http = `require("http").createServer((q, r) => r.end("page for " + q.headers.host)).listen(8080, "::", () => console.log("up"))`;
  // And TLS of its own, which says by which name it was called.
  const ca = await TestCa.make();
  const own = await certificateFiles(ca, "page");
  certificates.push(own);
  const secure = `const fs = require("fs"); require("tls").createServer({ cert: fs.readFileSync(${JSON.stringify(own.files.cert)}), key: fs.readFileSync(${JSON.stringify(own.files.key)}) }, (s) => s.end("secret for " + s.servername)).listen(9443, "::", () => console.log("up"))`;
  // In the pod of the service: what only the pod itself should reach, and another port of the application.
  const debug = `require("http").createServer((q, r) => r.end("secret")).listen(9999, "127.0.0.1", () => console.log("up"))`;
  for (const [pod, script] of [
    [stranger, banner],
    [stranger, http],
    [stranger, secure],
    [service, debug],
    [service, http],
    [plain, debug],
    [plain, http],
  ] as const)
    await (await said(pod, script)).line(/^up$/);
  for (const [pod, address] of [
    [service, "0.0.0.0:50051"],
    [plain, "127.0.0.1:50051"],
  ] as const) {
    const user = await keep(pod.start([node, join(root, "services", "user", "main.ts"), "--listen", address]));
    await user.line(/^user ready /, 30_000);
  }

  for (const [pod, name, more] of [
    [service, "user", { service: { name: "user", address: "127.0.0.1:50051" } }],
    [caller, "shop", { identity: { name: "shop" } }],
  ] as const) {
    const files = await certificateFiles(ca, name);
    certificates.push(files);
    await chmod(files.folder, 0o755);
    await chown(files.files.key, SIDECAR, SIDECAR);
    const config = {
      ...more,
      discovery: { consul: { address: `http://${hub.address}:8500` } },
      mtls: { mode: "strict", source: { files: files.files } },
      upstreams: name === "shop" ? { user: { identity: idOf("user") } } : {},
      capture: {},
      log: { level: "debug", access: "all" },
      drain: { notice: "10ms", grace: "1s" },
    };
    const text = JSON.stringify(config);
    const set = await pod.run([node, main, "capture", "-c", "-"], { input: text });
    assert.equal(set.code, 0, set.stderr);
    const sidecar = await keep(pod.start([node, main, "run", "-c", "-"], { input: text }, SIDECAR));
    await sidecar.line(/^outrigger ready /, 60_000);
  }
  plainFile = join(await mkdtemp(join(tmpdir(), "plain-")), "outrigger.yaml");
  await chmod(dirname(plainFile), 0o755);
  await writePlain({});
  const set = await plain.run([node, main, "capture", "-c", plainFile]);
  assert.equal(set.code, 0, set.stderr);
  plainSidecar = await keep(plain.start([node, main, "run", "-c", plainFile], {}, SIDECAR));
  await plainSidecar.line(/^outrigger ready /, 60_000);
  await eventually(
    async () => (await metrics(caller)).includes('outrigger_endpoints{upstream="user",state="up"} 1'),
    () => "the caller's sidecar knows the service",
    60_000,
  );
});

after(async () => {
  if (guard.skip !== false) return;
  for (const one of running.reverse()) {
    one.signal("SIGKILL");
    await one.exited;
  }
  await network.close();
  for (const files of certificates) await files.remove();
  await rm(dirname(plainFile), { recursive: true, force: true });
});

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

async function keep(started: Promise<RunningProcess>): Promise<RunningProcess> {
  const one = await started;
  running.push(one);
  return one;
}

async function metrics(pod: Pod): Promise<string> {
  return (await fetchIn(pod, "http://127.0.0.1:15000/metrics")).stdout;
}

/** What a program in a pod gets from a page: its text, or the code of the error. */
function fetchIn(pod: Pod, url: string): Promise<{ stdout: string }> {
  const script = `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(8000) }).then((r) => r.text()).catch((e) => "error " + (e.cause?.code ?? e.name)).then((t) => process.stdout.write(t))`;
  return pod.run([node, "-e", script]);
}

/** What a server says to somebody who only listens. */
function listenIn(pod: Pod, host: string, port: number): Promise<{ stdout: string }> {
  const script = `const s = require("net").connect(${port}, ${JSON.stringify(host)}); s.on("data", (d) => process.stdout.write(d)); s.on("error", (e) => process.stdout.write("error " + e.code)); setTimeout(() => process.exit(), 8000).unref()`;
  return pod.run([node, "-e", script]);
}

test(
  "a grpc-js caller that dials user:50051 with no change at all reaches the service, through both sidecars and mTLS",
  guard,
  async () => {
    const called = await caller.run([node, join(import.meta.dirname, "grpc-caller.ts"), "user:50051"]);
    assert.equal(called.stdout, "read Ada\n", called.stderr);
    const inbound = await metrics(service);
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
    assert.equal((await listenIn(caller, host, 7000)).stdout, "220 hello\r\n", host);
  }
});

test("the application's other traffic still works: HTTP/1 to a host outside of the mesh", guard, async () => {
  assert.equal((await fetchIn(caller, "http://db:8080/")).stdout, "page for db:8080");
});

test(
  "the sidecar's own traffic is not captured, and each captured connection is counted by what it spoke",
  guard,
  async () => {
    const text = await metrics(caller);
    assert.match(
      text,
      /outrigger_captured_connections_total\{direction="outbound",result="mesh",protocol="http2"\} 2\n/,
    );
    assert.match(
      text,
      /outrigger_captured_connections_total\{direction="outbound",result="relayed",protocol="http1"\} 1\n/,
    );
    assert.match(
      text,
      /outrigger_captured_connections_total\{direction="outbound",result="relayed",protocol="unknown"\} 2\n/,
    );
    // To Consul, and to the other sidecar, it went as it was.
    assert.doesNotMatch(text, /direction="outbound",result="refused"/);
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
      assert.match(
        (await fetchIn(stranger, `http://${address}:${port}/`)).stdout,
        /^error (ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET)$/,
        what,
      );
    const plain = await stranger.run([
      requirePart("grpcurl"),
      "-plaintext",
      "-max-time",
      "3",
      `${address}:50051`,
      "list",
    ]);
    assert.notEqual(plain.code, 0, "the service without a certificate");
    assert.equal(
      (await fetchIn(stranger, `http://${address}:15021/live`)).stdout.includes("true"),
      true,
      "the probe port",
    );
  },
);

test("two threads share what is redirected, and see the same of it as one", guard, async () => {
  const { address } = plain;
  const list = ["-plaintext", "-max-time", "20", `${address}:50051`, "list"];
  for (let call = 0; call < 6; call++) {
    const asked = await stranger.run([requirePart("grpcurl"), ...list]);
    assert.match(asked.stdout, /user\.v1\.UserService/, asked.stderr);
    assert.equal((await fetchIn(plain, "http://db:8080/")).stdout, "page for db:8080");
  }
  assert.equal((await listenIn(plain, "db", 7000)).stdout, "220 hello\r\n");
  const text = await metrics(plain);
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
    const asked = async (port: number): Promise<string> =>
      (await fetchIn(stranger, `http://${address}:${port}/`)).stdout;
    assert.equal(await asked(8080), `page for ${address}:8080`);
    for (const [what, port] of [
      ["a debug port on loopback", 9999],
      ["the admin page", 15000],
      ["the outbound listener", 15001],
      ["the port that captured connections come in at, called directly", 15016],
      ["the port for the application's own, called directly", 15011],
    ] as const)
      assert.match(await asked(port), /^error (ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET)$/, what);
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
  const said = async (): Promise<string> => (await listenIn(plain, "db", 7000)).stdout;
  assert.equal(await said(), "220 hello\r\n");
  await writePlain({ egress: "declared" });
  await eventually(
    async () => (await said()) !== "220 hello\r\n",
    () => "a server that no upstream has is not reached",
    60_000,
  );
  assert.equal((await fetchIn(plain, "http://db:8080/")).stdout, "page for db:8080");
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
    assert.equal((await fetchIn(plain, "http://db:8080/")).stdout, "page for db:8080");
    const text = await metrics(plain);
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
      const input = JSON.stringify({
        capture: {},
        workers,
        log: { level: "debug" },
        drain: { notice: "10ms", grace: "1s" },
      });
      assert.equal((await pod.run([node, main, "capture", "-c", "-"], { input })).code, 0);
      // The rules leave out user 15001.
      const sidecar = await keep(pod.start([node, main, "run", "-c", "-"], { input }, 4242));
      await sidecar.line(/^outrigger ready /, 60_000);
      const connections = 10;
      const script = `const { connect } = require("net"); let left = ${connections}; const next = () => left-- > 0 && connect(8080, "db").on("error", () => {}).on("close", next).end("GET / HTTP/1.1\\r\\nhost: db\\r\\n\\r\\n").resume(); next()`;
      const asked = await pod.run([node, "-e", script], { timeout: 60_000 });
      assert.equal(asked.code, 0, "every connection has ended");
      await sidecar.line(/this sidecar's own: the rules do not leave out the user that it runs as/);
      const taken = /outrigger_captured_connections_total\{direction="outbound",[^}]*\} (\d+)\n/g;
      const counts = [...(await metrics(pod)).matchAll(taken)].map(([, count]) => Number(count));
      const all = counts.reduce((sum, count) => sum + count, 0);
      // Each has two: the application's and the one that was dialled for it, which may have begun another before it was known.
      assert.ok(all >= 2 * connections && all <= 5 * connections, `${all} connections for ${connections}`);
    },
  );

test(
  "link-local addresses, such as a cloud's metadata service, are not called through the sidecar",
  guard,
  async () => {
    const asked = await fetchIn(caller, "http://169.254.169.254/latest/meta-data");
    assert.match(asked.stdout, /^error (ECONNRESET|UND_ERR_SOCKET)$/);
    assert.match(await metrics(caller), /result="refused",protocol="http1"\} 1\n/);
  },
);

for (const rules of ["nftables", "iptables"] as const) {
  test(
    `${rules}: setting twice is setting once, what is excluded goes out as it is, and removing leaves nothing`,
    guard,
    async () => {
      const pod = stranger;
      const capture = (args: string[], exclude: object = { outboundPorts: [7000], users: [4242] }) =>
        pod.run([node, main, "capture", "-c", "-", ...args], {
          input: JSON.stringify({ capture: { rules, exclude } }),
        });
      const list = rules === "nftables" ? ["nft", "list", "ruleset"] : ["iptables-save", "-t", "nat"];
      const ours = async (): Promise<string> => {
        const { stdout } = await pod.run(list);
        return stdout
          .split("\n")
          .filter((line) => !line.startsWith("#"))
          .join("\n");
      };
      const before = await ours();
      assert.equal((await capture([])).code, 0);
      const once = await ours();
      assert.match(once, /15011/);
      assert.equal((await capture([])).code, 0);
      assert.equal(await ours(), once);
      // Nobody listens at the port that connections are redirected to: what gets through was not redirected.
      const { address } = caller;
      assert.equal((await fetchIn(pod, `http://${address}:15021/live`)).stdout.startsWith("error ECONNREFUSED"), true);
      const script = `require("net").connect(15021, "${address}").on("connect", () => { console.log("connected"); process.exit() }).on("error", (e) => console.log(e.code))`;
      assert.equal((await pod.run([node, "-e", script], {}, 4242)).stdout, "connected\n", "an excluded user");
      const fromOutside = `http://${pod.address}:8080/`;
      assert.match((await fetchIn(network.hub, fromOutside)).stdout, /^error ECONNREFUSED/);
      const networks = { inboundPorts: [8080], cidrs: [`${address}/32`, "fd77::/64"] };
      assert.equal((await capture([], networks)).code, 0);
      assert.match((await fetchIn(network.hub, fromOutside)).stdout, /^page for /, "an excluded port of the pod");
      for (const host of [address, `[${caller.address6}]`])
        assert.match((await fetchIn(pod, `http://${host}:15021/live`)).stdout, /true/, "an excluded network");
      assert.match((await fetchIn(pod, `http://${service.address}:15021/live`)).stdout, /^error ECONNREFUSED/);
      assert.equal((await capture(["--remove"])).code, 0);
      assert.equal((await capture(["--remove"])).code, 0, "twice, too");
      const after = await ours();
      assert.ok(after === before || !/15011|OUTRIGGER/.test(after), after);
      assert.match((await fetchIn(pod, `http://${address}:15021/live`)).stdout, /true/);
    },
  );
}

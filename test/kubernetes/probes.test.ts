import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type handleUnaryCall, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { encodeResponse } from "../../src/cluster/health-message.ts";
import { type CertificateFiles, certificateFiles, TestCa } from "../support/certificates.ts";
import { healthService } from "../support/counting-service.ts";
import { freePort } from "../support/ports.ts";
import { runProcess, startProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { type SidecarProcess, startSidecarProcess } from "../support/sidecar-process.ts";
import { eventually } from "../support/with-proxy.ts";

// A sidecar in strict mTLS and its application, asked by the probers of the kubelet itself (k8s.io/kubernetes/pkg/probe).

const guard = skipUnless("kubelet-prober");
/** Octets before a message of gRPC, which grpc-js adds itself. */
const PREFIX = 5;

let certificates: CertificateFiles;
let application: Server;
let port: number;
let health: "SERVING" | "NOT_SERVING" = "SERVING";
let sidecar: SidecarProcess;

before(async () => {
  if (guard.skip !== false) return;
  port = await freePort();
  application = await startApplication();
  certificates = await certificateFiles(await TestCa.make(), "user");
  sidecar = await startSidecarProcess({
    service: { name: "user", address: `127.0.0.1:${port}` },
    mtls: { mode: "strict", source: { files: certificates.files } },
    drain: { notice: "60s", grace: "1s" },
  });
});
after(async () => {
  if (guard.skip !== false) return;
  await sidecar.process.kill();
  application.forceShutdown();
  await certificates.remove();
});

async function startApplication(): Promise<Server> {
  const server = new Server();
  const check: handleUnaryCall<Buffer, Buffer> = ({ request }, done) => {
    // There is nothing in a request but the name of a service, and that of the whole is empty.
    if (request.length > 0) done({ code: status.NOT_FOUND, details: "no such service" });
    else done(null, encodeResponse(health).subarray(PREFIX));
  };
  server.addService(healthService, { check, watch: () => {} });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return server;
}

interface Answer {
  readonly result: "success" | "failure" | "warning" | "unknown";
  readonly output: string;
}

async function ask(kind: "grpc" | "http" | "tcp", address: string, subject = ""): Promise<Answer> {
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  const asked = await runProcess(requirePart("kubelet-prober"), [kind, host, port, subject], { timeout: 30_000 });
  assert.equal(asked.code, 0, asked.stderr);
  return JSON.parse(asked.stdout);
}

async function results(questions: readonly (readonly ["grpc" | "http" | "tcp", string])[]): Promise<string[]> {
  const probe = sidecar.address("probe");
  const answers = await Promise.all(questions.map(([kind, subject]) => ask(kind, probe, subject)));
  return answers.map(({ result }) => result);
}

test(
  "an application that serves: startup, readiness and liveness succeed, over gRPC, HTTP and TCP",
  guard,
  async () => {
    assert.deepEqual(await ask("grpc", sidecar.address("probe")), { result: "success", output: "service healthy" });
    assert.deepEqual(
      await results([
        ["http", "/startup"],
        ["http", "/ready"],
        ["http", "/live"],
        ["tcp", ""],
      ]),
      ["success", "success", "success", "success"],
    );
  },
);

test("a service that the application does not have is none, as it says itself", guard, async () => {
  const { result, output } = await ask("grpc", sidecar.address("probe"), "user.v1.Other");
  assert.equal(result, "failure");
  assert.match(output, /code = NotFound/);
});

test("an application that does not serve is not ready, and its sidecar lives", guard, async () => {
  health = "NOT_SERVING";
  try {
    assert.deepEqual(await ask("grpc", sidecar.address("probe")), {
      result: "failure",
      output: 'service unhealthy (responded with "NOT_SERVING")',
    });
    assert.deepEqual(await results([["http", "/live"]]), ["success"]);
  } finally {
    health = "SERVING";
  }
  assert.equal((await ask("grpc", sidecar.address("probe"))).result, "success", "asked anew each time");
});

test("a probe in plaintext of the port for calls is refused, and one by TCP says nothing", guard, async () => {
  const inbound = sidecar.address("inbound");
  const { result, output } = await ask("grpc", inbound);
  assert.equal(result, "failure");
  assert.match(output, /connect|EOF|reset|Unavailable|preface|timeout/i);
  assert.equal((await ask("http", inbound, "/ready")).result, "failure");
  // Why docs/kubernetes.md advises against it: a listener is there, whatever stands behind it.
  assert.equal((await ask("tcp", inbound)).result, "success");
});

test("an application that is dead is not ready, until it is back", guard, async () => {
  application.forceShutdown();
  assert.equal((await ask("grpc", sidecar.address("probe"))).result, "failure");
  assert.deepEqual(await results([["http", "/live"]]), ["success"]);
  application = await startApplication();
  await eventually(
    async () => (await ask("grpc", sidecar.address("probe"))).result === "success",
    () => "SERVING",
    20_000,
  );
});

test("a sidecar that still waits for an upstream has not started and is not ready, but lives", guard, async () => {
  const probe = `127.0.0.1:${await freePort()}`;
  const input = JSON.stringify({
    listeners: { outbound: "127.0.0.1:0", admin: "127.0.0.1:0", probe },
    discovery: { consul: { address: `http://127.0.0.1:${await freePort()}` } },
    upstreams: { orders: {} },
  });
  const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
  const starting = await startProcess(process.execPath, [main, "run", "-c", "-"], { input });
  try {
    await eventually(
      async () => (await ask("http", probe, "/live")).result === "success",
      () => "the probe listener",
      20_000,
    );
    assert.deepEqual(await ask("http", probe, "/startup"), {
      result: "failure",
      output: "HTTP probe failed with statuscode: 503",
    });
    assert.equal((await ask("http", probe, "/ready")).result, "failure");
    assert.equal((await ask("grpc", probe)).result, "failure");
  } finally {
    await starting.kill();
  }
});

test(
  "while the sidecar drains the application is not ready, whatever it says; the sidecar lives and has started",
  guard,
  async () => {
    sidecar.process.signal("SIGTERM");
    await eventually(
      async () => (await ask("grpc", sidecar.address("probe"))).result === "failure",
      () => "NOT_SERVING while it drains",
      20_000,
    );
    assert.deepEqual(
      await results([
        ["http", "/ready"],
        ["http", "/startup"],
        ["http", "/live"],
      ]),
      ["failure", "success", "success"],
    );
  },
);

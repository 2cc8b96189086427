import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkText } from "../../src/config/check-text.ts";
import { loadConfig } from "../../src/config/load.ts";
import { printConfig } from "../../src/config/print.ts";
import { doctorPage, examine } from "../../src/control/doctor/doctor.ts";
import { parseAddress } from "../../src/core/address.ts";
import { ask } from "../control/http-client.ts";
import { AuthorizationServer } from "../support/authorization-server.ts";
import { certificateFiles, TestCa } from "../support/certificates.ts";
import { freePort } from "../support/ports.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { ISSUER, Issuer, keySet } from "../support/tokens.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";
import { call, echo } from "./mtls/mesh.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

/** Each place's own, so that what comes out says where it came from. */
const secrets = {
  consul: "5ecret-of-consul-0001",
  redis: "5ecret-of-redis-0002",
  tracing: "5ecret-of-tracing-0003",
  admin: "5ecret-of-admin-0004",
  environment: "5ecret-of-environment-0005",
  service: "5ecret-of-service-0006",
  call: "5ecret-of-call-0007",
  cookie: "5ecret-of-cookie-0008",
  broken: "5ecret-of-broken-0009",
  claim: "5ecret-of-claim-0010",
  otlpQuery: "5ecret-of-otlp-0011",
} as const;

async function listening(scope: Scope, server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  scope.onEnd(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return `127.0.0.1:${port}`;
}

function refusing(scope: Scope, listener: RequestListener): Promise<string> {
  const server = createHttpServer(listener);
  scope.onEnd(() => server.closeAllConnections());
  return listening(scope, server);
}

/** A Redis that lets nobody in, as it is said after AUTH with a wrong password. */
function refusingRedis(scope: Scope): Promise<string> {
  const server = createServer((socket) => {
    scope.onEnd(() => void socket.destroy());
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      const commands = chunk.toString("latin1").match(/^\*\d+/gm)?.length ?? 1;
      socket.write("-WRONGPASS invalid username-password pair or user is disabled.\r\n".repeat(commands));
    });
  });
  return listening(scope, server);
}

for (const workers of [1, 2])
  test(`secrets come out nowhere, with ${workers} threads: in no log, page, span, command or complaint, while everything that wants one refuses it`, async () => {
    await inScope((scope) => leakNothing(scope, workers));
  });

async function leakNothing(scope: Scope, workers: number): Promise<void> {
  const asked = { consul: 0, collector: 0 };
  const consul = await refusing(scope, (request, response) => {
    if (request.headers["x-consul-token"] === secrets.consul) asked.consul++;
    response.writeHead(403).end("Permission denied: token with AccessorID '0001' lacks permission 'service:read'");
  });
  const spans: Buffer[] = [];
  const collector = await refusing(scope, (request, response) => {
    if (request.headers["api-key"] === secrets.tracing) asked.collector++;
    request.on("data", (chunk: Buffer) => spans.push(chunk));
    response.writeHead(401).end("no");
  });
  const redis = await refusingRedis(scope);
  const service = new AuthorizationServer();
  await service.start();
  scope.onEnd(() => service.stop());
  service.answer = () => ({ error: 16 });
  const application = await echo(scope);
  const files = await certificateFiles(await TestCa.make(), "up");
  scope.onEnd(() => files.remove());
  const privateKey = (await readFile(files.files.key, "utf8")).split("\n")[1] ?? "";
  assert.ok(privateKey.length > 20);
  const issuer = await Issuer.make("one");
  const folder = await mkdtemp(join(tmpdir(), "outrigger-secrets-"));
  scope.onEnd(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "outrigger.yaml");
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, secrets.consul);
  const keys = join(folder, "keys");
  await writeFile(keys, keySet(issuer));
  const token = await issuer.sign({ secret: secrets.claim });
  const [inbound, outbound, admin, probe] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const config = {
    workers,
    service: { name: "up", address: application.address, health: "none" },
    listeners: {
      inbound: `127.0.0.1:${inbound}`,
      outbound: `127.0.0.1:${outbound}`,
      admin: `127.0.0.1:${admin}`,
      probe: `127.0.0.1:${probe}`,
    },
    admin: { token: secrets.admin },
    discovery: { consul: { address: `http://${consul}`, tokenFile } },
    mtls: { mode: "permissive", source: { files: files.files } },
    upstreams: {
      orders: { timeout: "200ms" },
      near: { discovery: "static", endpoints: [application.address], mtls: "disabled" },
    },
    rateLimits: [{ name: "shared", limit: "100/s", store: `redis://user:${secrets.redis}@${redis}/0` }],
    authorization: {
      default: "allow",
      external: {
        address: service.address,
        onFailure: "allow",
        timeout: "10s",
        metadata: { "x-token": secrets.service, "x-other": `$${"{OTHER_SECRET}"}` },
      },
    },
    jwt: {
      providers: {
        accounts: {
          issuer: ISSUER,
          audiences: ["up"],
          keys: { file: keys },
          toApplication: "forward",
          from: [{ metadata: "x-token" }],
        },
      },
      rules: [{ need: "optional" }],
    },
    tracing: {
      sampling: "100%",
      otlp: `http://${collector}/v1/traces?key=${secrets.otlpQuery}`,
      headers: { "api-key": secrets.tracing },
    },
    log: { level: "trace", access: "all" },
    drain: { notice: "10ms", grace: "200ms" },
  };
  const text = JSON.stringify(config, undefined, 2);
  await writeFile(file, text);
  const env = { OTHER_SECRET: secrets.environment };
  const sidecar = await startProcess(process.execPath, [main, "run", "-c", file], { env });
  scope.onEnd(() => sidecar.kill().then(() => undefined));
  const out: string[] = [];

  // What it does by itself, and for calls with secrets in them.
  await sidecar.line(/listening for outbound/, 30_000);
  await eventually(
    () => asked.consul > 0,
    () => `the token reached Consul: ${sidecar.stderr()}`,
    20_000,
  );
  const fields = {
    authorization: `Bearer ${secrets.call}`,
    cookie: `session=${secrets.cookie}`,
    "x-api-key": secrets.call,
  };
  assert.equal((await call(`127.0.0.1:${inbound}`, fields)).error, undefined);
  assert.equal((await call(`127.0.0.1:${outbound}`, fields, "near")).error, undefined);
  assert.equal((await call(`127.0.0.1:${inbound}`, { "x-token": token })).error, undefined);
  assert.equal(
    (await call(`127.0.0.1:${inbound}`, { "x-token": `${token.slice(0, -8)}AAAAAAAA` })).reason,
    "JWT_INVALID",
  );
  assert.notEqual((await call(`127.0.0.1:${outbound}`, fields, "orders")).error, undefined);
  assert.equal(service.asked[0]?.headers.authorization, fields.authorization, "the service does get them");
  assert.equal(service.asked[0]?.metadata.get("x-other")[0], secrets.environment);
  await sidecar.line(/the store of the rate limits does not answer/, 20_000);
  await eventually(
    () => asked.collector > 0,
    () => "the key reached the collector",
    20_000,
  );

  // Pages, with the token and without.
  const address = parseAddress(`127.0.0.1:${admin}`);
  assert.ok(typeof address !== "string");
  const authorization = `Bearer ${secrets.admin}`;
  const pages = [
    "/",
    "/ready",
    "/live",
    "/config",
    "/clusters",
    "/connections",
    "/explain",
    "/explain?failed",
    "/metrics",
    "/x",
  ];
  for (const headers of [{ authorization }, { authorization: `${authorization}x` }, undefined])
    for (const path of pages) {
      const reply = await ask(address, path, headers === undefined ? {} : { headers });
      out.push(JSON.stringify(reply.headers), reply.text);
      if (path === "/config" && headers?.authorization === authorization) {
        assert.equal(reply.status, 200);
        assert.match(reply.text, /"token": "\*\*\*"/);
        assert.match(reply.text, /redis:\/\/user:\*\*\*@/);
      }
    }
  const { calls } = JSON.parse((await ask(address, "/explain", { headers: { authorization } })).text);
  assert.ok(calls.length >= 3);
  for (const { id } of calls) out.push((await ask(address, `/explain?id=${id}`, { headers: { authorization } })).text);

  // Commands with the same file.
  const options = { file, env };
  for (const json of [false, true])
    out.push(printConfig(text, { ...options, json }).output, checkText(text, { ...options, json }).output);
  const loaded = loadConfig(text, options);
  assert.ok(loaded.ok);
  const findings = await examine(loaded.config, 100);
  assert.ok(
    findings.some(({ check, verdict }) => check === "consul" && verdict === "error"),
    "doctor sees Consul refuse",
  );
  out.push(doctorPage(findings), JSON.stringify(findings));

  // A reload to what is broken, on the line of a secret; and the end.
  const broken = `admin: { token: ${secrets.broken}, wrong: 1 }\ntracing: { otlp: 7, headers: { x: ${secrets.broken} } }\n`;
  await writeFile(file, broken);
  await sidecar.line(/unknown key/, 20_000);
  out.push((await ask(address, "/ready", { headers: { authorization } })).text);
  await writeFile(file, `admin:\n  token: "${secrets.broken}\n`);
  await sidecar.line(/outrigger\.yaml:2:\d+: /, 20_000);
  await sidecar.stop(10_000);
  out.push(sidecar.stdout(), sidecar.stderr(), Buffer.concat(spans).toString("latin1"));
  assert.ok(Buffer.concat(spans).includes("test.v1.Test/Unary"), "there were spans");

  const all = out.join("\n");
  for (const [name, secret] of Object.entries({
    ...secrets,
    privateKey,
    token,
    signature: token.split(".")[2] ?? "",
  })) {
    const at = all.indexOf(secret);
    assert.equal(at, -1, `the secret ${name} comes out: …${all.slice(Math.max(0, at - 300), at + 100)}…`);
    // A token in base64 is one still.
    assert.ok(!all.includes(Buffer.from(secret).toString("base64")), `${name} in base64`);
  }
  assert.ok(sawFailures(sidecar), "there were failures to tell of");
}

function sawFailures(sidecar: RunningProcess): boolean {
  const lines = sidecar.stderr();
  return [/consul/i, /WRONGPASS|does not answer/, /authorization service does not answer/].every((word) =>
    word.test(lines),
  );
}

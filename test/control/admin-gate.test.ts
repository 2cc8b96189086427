import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { pino } from "pino";
import { adminTarget } from "../../src/commands/admin-client.ts";
import { startAdmin } from "../../src/control/admin.ts";
import { askAdmin } from "../../src/control/admin-client.ts";
import type { AdminAccess } from "../../src/control/admin-secrets.ts";
import { type Address, formatAddress } from "../../src/core/address.ts";
import { certificateFiles, TestCa } from "../support/certificates.ts";
import { JumpClock } from "../support/jump-clock.ts";
import { runProcess } from "../support/process.ts";
import { FakeView } from "./fake-view.ts";
import { ask, type Reply, raw } from "./http-client.ts";

const TOKEN = "correct-horse-battery";
const nothing: AdminAccess = { token: undefined, tokenFile: undefined, tls: undefined };
const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

interface Gate {
  readonly address: Address;
  readonly view: FakeView;
  readonly clock: JumpClock;
  /** The log's lines. */
  readonly lines: string[];
  access: AdminAccess;
}

async function gate(t: TestContext, access: Partial<AdminAccess>, to: Address = loopback): Promise<Gate> {
  const view = new FakeView();
  const lines: string[] = [];
  const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(line) });
  const made = { view, lines, clock: new JumpClock(), access: { ...nothing, ...access } };
  const options = { view, hosts: () => [], access: () => made.access, clock: made.clock, log };
  const listener = await startAdmin(to, options);
  t.after(() => listener.close());
  return Object.assign(made, { address: listener.address });
}

const loopback: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "admin-"));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString("base64")}`;
}

test("nothing is answered without the token, which a program says as Bearer and a browser as a password", async (t) => {
  const { address, view, lines } = await gate(t, { token: TOKEN });
  const cases: [status: number, authorization: string | undefined][] = [
    [200, `Bearer ${TOKEN}`],
    [200, `bearer  ${TOKEN}`],
    [200, basic(`:${TOKEN}`)],
    [200, basic(`anybody:${TOKEN}`)],
    [401, undefined],
    [401, ""],
    [401, TOKEN],
    [401, `Token ${TOKEN}`],
    [401, "Bearer"],
    [401, "Bearer "],
    [401, `Bearer ${TOKEN}x`],
    [401, `Bearer ${TOKEN.slice(1)}`],
    [401, `Bearer ${TOKEN} ${TOKEN}`],
    [401, `Bearer ${TOKEN.toUpperCase()}`],
    [401, basic(TOKEN.slice(0, -1))],
    [401, basic(`${TOKEN}:`)],
    [401, `Basic ${TOKEN}`],
    [401, "Basic %%%"],
  ];
  for (const [status, authorization] of cases) {
    const headers = authorization === undefined ? {} : { authorization };
    const reply = await ask(address, "/config", { headers });
    assert.equal(reply.status, status, String(authorization));
    if (status === 200) continue;
    assert.match(JSON.parse(reply.text).error, /token/);
    assert.match(reply.headers["www-authenticate"] ?? "", /^Basic realm="outrigger/);
  }
  const json = { "content-type": "application/json" };
  for (const path of [
    "/",
    "/ready",
    "/live",
    "/metrics",
    "/clusters",
    "/connections",
    "/explain",
    "/nothing",
    "/config",
  ])
    assert.equal((await ask(address, path)).status, 401, path);
  for (const path of ["/drain", "/quit", "/log-level"])
    assert.equal((await ask(address, path, { method: "POST", headers: json })).status, 401, path);
  assert.deepEqual(view.done, []);
  const told = lines.filter((line) => line.includes("without the token"));
  assert.equal(told.length, 1, "told once in ten seconds");
  assert.doesNotMatch(lines.join(""), new RegExp(TOKEN, "i"), "the log has no token");
});

test("the token does not make up for another name, another site, or another kind of request", async (t) => {
  const { address, view } = await gate(t, { token: TOKEN });
  const own = { authorization: basic(`:${TOKEN}`) };
  const status = async (path: string, method: string, headers: Record<string, string>): Promise<Reply> =>
    await ask(address, path, { method, headers: { ...own, ...headers } });
  const foreign = { origin: "http://evil.example" };
  const cases: [expected: number, path: string, method: string, headers: Record<string, string>][] = [
    [403, "/config", "GET", { host: "evil.example" }],
    [403, "/config", "GET", { host: `evil.example:${address.kind === "tcp" ? address.port : 0}` }],
    [415, "/drain", "POST", { "content-type": "text/plain" }],
    [415, "/drain", "POST", { "content-type": "application/x-www-form-urlencoded" }],
    [415, "/drain", "POST", { "content-type": "multipart/form-data; boundary=b" }],
    [403, "/drain", "POST", { "content-type": "text/plain", ...foreign }],
    [403, "/drain", "POST", { "content-type": "application/json", ...foreign }],
    [403, "/drain", "POST", { "content-type": "application/json", origin: "null" }],
    [403, "/drain", "POST", { "content-type": "application/json", "sec-fetch-site": "cross-site" }],
    [405, "/drain", "GET", {}],
    // A preflight asks without credentials.
    [405, "/drain", "OPTIONS", { ...foreign, "access-control-request-method": "POST" }],
  ];
  for (const [expected, path, method, headers] of cases) {
    const reply = await status(path, method, headers);
    assert.equal(reply.status, expected, `${method} ${path} ${JSON.stringify(headers)}`);
    const cors = Object.keys(reply.headers).filter((name) => name.startsWith("access-control"));
    assert.deepEqual(cors, [], "no CORS");
  }
  assert.deepEqual(view.done, []);
  const preflight = { host: formatAddress(address), ...foreign, "access-control-request-method": "POST" };
  assert.equal((await ask(address, "/drain", { method: "OPTIONS", headers: preflight })).status, 401);
});

test("a token in a file is read again within a second; an empty or missing file changes nothing; at start it is an error", async (t) => {
  const file = join(await folder(t), "token");
  await assert.rejects(gate(t, { tokenFile: file }), new RegExp(`admin: cannot use ${file}: .*ENOENT`));
  await writeFile(file, "\n");
  await assert.rejects(gate(t, { tokenFile: file }), /it is empty/);
  await writeFile(file, `${TOKEN}\n`);
  const made = await gate(t, { tokenFile: file });
  const status = async (token: string): Promise<number> =>
    (await ask(made.address, "/ready", { headers: { authorization: `Bearer ${token}` } })).status;
  assert.equal(await status(TOKEN), 200);
  await writeFile(file, "another-token-altogether");
  made.clock.jump(1001);
  assert.deepEqual([await status(TOKEN), await status("another-token-altogether")], [401, 200]);
  for (const breaks of [() => writeFile(file, ""), () => rm(file)]) {
    await breaks();
    made.clock.jump(1001);
    assert.equal(await status("another-token-altogether"), 200);
  }
  // Another configuration with that file does not let in by what is remembered.
  made.access = { ...nothing, tokenFile: `${file}-other` };
  await assert.rejects(status("another-token-altogether"));
  made.access = { ...nothing, token: TOKEN };
  assert.equal(await status(TOKEN), 200);
});

/** One request over TLS; rejects where none is answered. */
function secure(address: Address, options: ConnectionOptions, headers: Record<string, string> = {}): Promise<number> {
  const { port, host } = address.kind === "tcp" ? address : { port: 0, host: "" };
  return new Promise((resolve, reject) => {
    const all = { host, port, path: "/ready", checkServerIdentity: () => undefined, agent: false, headers, ...options };
    const asked = request(all as object, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("with clientCa nobody is heard without a certificate of it, and files that change are in force at once", async (t) => {
  const [ca, people, strangers] = await Promise.all([TestCa.make(), TestCa.make("people"), TestCa.make("strangers")]);
  const server = await certificateFiles(ca, "admin");
  t.after(() => server.remove());
  const clientCa = join(server.folder, "people.pem");
  await writeFile(clientCa, people.pem);
  const { cert, key } = server.files;
  const made = await gate(t, { tls: { cert, key, clientCa } });
  const { address } = made;
  const ann = await people.issue("ann");
  const eve = await strangers.issue("eve");
  const old = await people.issue("old", { notAfter: Date.now() - 30_000 });
  const as = ({ certificate, key: secret }: typeof ann): ConnectionOptions => ({
    ca: ca.pem,
    cert: certificate,
    key: secret,
  });
  assert.equal(await secure(address, as(ann)), 200);
  await assert.rejects(secure(address, { ca: ca.pem }), "no certificate");
  await assert.rejects(secure(address, as(eve)), "of another authority");
  await assert.rejects(secure(address, as(old)), "expired");
  await assert.rejects(secure(address, { ...as(ann), maxVersion: "TLSv1.2" }), "an old TLS");
  assert.doesNotMatch(await raw(address, "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"), /HTTP/, "plaintext");
  // What was verified before lets nobody in: no session can be resumed.
  const sessions: Buffer[] = [];
  for (let round = 0; round < 2; round++) {
    const { port, host } = address.kind === "tcp" ? address : { port: 0, host: "" };
    const [session] = sessions;
    const socket = connect({ port, host, ...as(ann), session, checkServerIdentity: () => undefined });
    socket.on("session", (ticket: Buffer) => sessions.push(ticket));
    await once(socket, "secureConnect");
    assert.equal(socket.isSessionReused(), false);
    socket.end("GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await once(socket.resume(), "close");
  }
  // The authority is replaced: those whom it has let in are out, on connections that stand, too.
  const { Agent } = await import("node:https");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  assert.equal(await secure(address, { ...as(ann), agent } as ConnectionOptions), 200);
  await writeFile(clientCa, strangers.pem);
  made.clock.jump(1001);
  await assert.rejects(secure(address, { ...as(ann), agent } as ConnectionOptions));
  await assert.rejects(secure(address, as(ann)));
  assert.equal(await secure(address, as(eve)), 200);
});

test("over TLS the token is wanted as well where both are configured, and a silent client is closed", async (t) => {
  const ca = await TestCa.make();
  const files = await certificateFiles(ca, "admin");
  t.after(() => files.remove());
  const { cert, key } = files.files;
  const { address, clock } = await gate(t, { token: TOKEN, tls: { cert, key, clientCa: undefined } });
  assert.equal(await secure(address, { ca: ca.pem }), 401);
  assert.equal(await secure(address, { ca: ca.pem }, { authorization: `Bearer ${TOKEN}` }), 200);
  const closed = raw(address, "");
  const timer = setInterval(() => clock.jump(10_001), 20);
  await closed;
  clearInterval(timer);
});

test("a unix socket is asked as before, and wants the token where there is one", async (t) => {
  const path = join(await folder(t), "admin.sock");
  const { address } = await gate(t, { token: TOKEN }, { kind: "unix", path, mode: 0o600 });
  assert.equal((await askAdmin({ address }, "/ready")).status, 401);
  assert.equal((await askAdmin({ address, token: TOKEN }, "/ready")).status, 200);
});

test("the commands that ask a sidecar say the token of the configuration, a file or a variable, over TLS as well", async (t) => {
  const ca = await TestCa.make();
  const server = await certificateFiles(ca, "admin");
  t.after(() => server.remove());
  const { cert, key, ca: clientCa } = server.files;
  const made = await gate(t, { token: TOKEN, tls: { cert, key, clientCa: undefined } });
  const at = formatAddress(made.address);
  const path = await folder(t);
  const config = join(path, "outrigger.yaml");
  const tokenFile = join(path, "token");
  await writeFile(tokenFile, `${TOKEN}\n`);
  const tls = { cert, key };
  await writeFile(config, JSON.stringify({ listeners: { admin: at }, admin: { tokenFile, tls } }));
  const run = await runProcess(process.execPath, [main, "explain", "-c", config]);
  assert.match(run.stdout, /^abcd-1 /, run.stderr);
  const status = async (options: Record<string, string>, env: Record<string, string> = {}): Promise<number> => {
    const input = { value: (name: string) => options[name], has: () => false, words: [], program: [], env };
    return (await askAdmin(adminTarget(input), "/explain")).status;
  };
  const token = { OUTRIGGER_ADMIN_TOKEN: TOKEN };
  const named = { admin: at, ca: cert };
  assert.equal(await status(named, token), 200);
  assert.equal(await status({ ...named, "token-file": tokenFile }, { OUTRIGGER_ADMIN_TOKEN: "wrong" }), 200);
  assert.equal(await status(named), 401);
  assert.equal(await status(named, { OUTRIGGER_ADMIN_TOKEN: "wrong-wrong-wrong-wrong" }), 401);
  await assert.rejects(status({ admin: at }, token), /cannot ask/, "HTTP to HTTPS");
  await assert.rejects(status({ ...named, cert }, token), /--cert and --key go together/);
  await assert.rejects(status({ admin: at, cert, key }, token), /--cert needs --ca/);
  await assert.rejects(status({ ...named, "token-file": join(path, "none") }), /--token-file: .*ENOENT/);
  const other = await certificateFiles(await TestCa.make(), "admin");
  t.after(() => other.remove());
  await assert.rejects(status({ admin: at, ca: other.files.cert }, token), /cannot ask .*certificate/, "another's");
  // With a client certificate.
  made.access = { ...made.access, tls: { cert, key, clientCa } };
  assert.equal(await status({ ...named, cert, key }, token), 200);
  await assert.rejects(status(named, token), /cannot ask/);
});

import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { pino } from "pino";
import { startAdmin } from "../../src/control/admin.ts";
import type { ControlListener } from "../../src/control/control-listener.ts";
import { type Address, formatAddress } from "../../src/core/address.ts";
import { systemClock } from "../../src/core/clock.ts";
import { FakeView } from "./fake-view.ts";
import { ask, raw } from "./http-client.ts";

const loopback: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };
const json = { "content-type": "application/json" };

async function admin(
  t: TestContext,
  { address = loopback, hosts = [] }: { address?: Address; hosts?: string[] } = {},
): Promise<{ view: FakeView; address: Address; listener: ControlListener }> {
  const view = new FakeView();
  const log = pino({ level: "silent" });
  const listener = await startAdmin(address, { view, hosts: () => hosts, clock: systemClock, log });
  t.after(() => listener.close());
  return { view, address: listener.address, listener };
}

test("each page answers with its status and type", async (t) => {
  const { view, address } = await admin(t);
  const pages: [path: string, status: number, body: unknown][] = [
    ["/ready", 200, { ready: true }],
    ["/live", 200, { live: true }],
    ["/config", 200, { service: { name: "user" }, discovery: { consul: { token: "***" } } }],
    ["/clusters", 200, view.known],
    ["/connections", 200, view.open],
    ["/ready?verbose=1", 200, { ready: true }],
  ];
  for (const [path, status, body] of pages) {
    const reply = await ask(address, path);
    assert.equal(reply.status, status, path);
    assert.equal(reply.headers["content-type"], "application/json; charset=utf-8");
    assert.deepEqual(JSON.parse(reply.text), body);
  }
  const metrics = await ask(address, "/metrics");
  assert.equal(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(metrics.text, "# HELP x X.\n# TYPE x gauge\nx 1\n");
});

test("a sidecar that is not ready says what it waits for", async (t) => {
  const { view, address } = await admin(t);
  const waiting = [{ what: "upstream orders", since: "2030-01-01T00:00:00.000Z", detail: "consul has not answered" }];
  view.ready = { ready: false, waiting };
  view.alive = false;
  const reply = await ask(address, "/ready");
  assert.equal(reply.status, 503);
  assert.deepEqual(JSON.parse(reply.text), { ready: false, waiting });
  assert.equal((await ask(address, "/live")).status, 503);
});

test("HEAD is GET without the body", async (t) => {
  const { address } = await admin(t);
  const reply = await ask(address, "/ready", { method: "HEAD" });
  assert.equal(reply.status, 200);
  assert.equal(reply.text, "");
  assert.equal(reply.headers["content-length"], String((await ask(address, "/ready")).text.length));
});

test("an unknown path and a wrong method are answered with what there is", async (t) => {
  const { address, view } = await admin(t);
  for (const path of ["/nothing", "/ready/", "//ready", "/__proto__", "/constructor", "/%72eady"]) {
    const reply = await ask(address, path);
    assert.equal(reply.status, 404, path);
    assert.match(JSON.parse(reply.text).error, /there is no ".*" here; there are \/, \/ready, .*\/log-level/);
  }
  const wrong = await ask(address, "/drain");
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.allow, "POST");
  assert.deepEqual(JSON.parse(wrong.text), { error: '/drain takes POST, not "GET"' });
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"]) {
    const reply = await ask(address, "/ready", { method, headers: json });
    assert.equal(reply.status, 405, method);
    assert.equal(reply.headers.allow, "GET, HEAD");
  }
  const long = await ask(address, `/${"x".repeat(5000)}`);
  assert.ok(long.text.length < 400, "a stranger's path is cut");
  assert.deepEqual(view.done, []);
});

test("only its own address, localhost and admin.hosts may be asked for (DNS rebinding)", async (t) => {
  const { address } = await admin(t, { hosts: ["mesh.example", "Other.Example:8443", "fd00::1"] });
  const port = address.kind === "tcp" ? address.port : 0;
  const cases: [host: string, status: number][] = [
    ["127.0.0.1", 200],
    [`127.0.0.1:${port}`, 200],
    // A forwarded port is another one, which no page of a stranger can use.
    ["127.0.0.1:9", 200],
    ["localhost", 200],
    ["LocalHost.:15000", 200],
    ["mesh.example", 200],
    ["MESH.EXAMPLE:80", 200],
    ["other.example:8443", 200],
    ["[fd00:0::1]:15000", 200],
    ["other.example", 403],
    ["other.example:8444", 403],
    ["evil.example", 403],
    [`evil.example:${port}`, 403],
    ["127.0.0.1.evil.example", 403],
    ["localhost.evil.example", 403],
    ["evil.example#localhost", 403],
    ["localhost@evil.example", 403],
    ["localhost, evil.example", 403],
    ["0.0.0.0", 403],
    ["127.0.0.2", 403],
    ["2130706433", 403],
    ["[::1]", 403],
    ["[", 403],
    ["localhost:", 403],
    ["localhost:port", 403],
  ];
  for (const [host, status] of cases) {
    const reply = await ask(address, "/config", { headers: { host } });
    assert.equal(reply.status, status, host);
    if (status === 403) assert.match(JSON.parse(reply.text).error, /Host/);
  }
});

test("two Host fields, none, and a target that is no path are refused", async (t) => {
  const { address } = await admin(t);
  const status = async (head: string): Promise<string> =>
    (await raw(address, `${head}\r\nConnection: close\r\n\r\n`)).slice(0, 15);
  assert.equal(await status("GET /ready HTTP/1.1\r\nHost: localhost"), "HTTP/1.1 200 OK");
  assert.equal(await status("GET /ready HTTP/1.1\r\nHost: localhost\r\nHost: evil.example"), "HTTP/1.1 400 Ba");
  assert.equal(await status("GET /ready HTTP/1.1\r\nHost: localhost\r\nhOST: localhost"), "HTTP/1.1 400 Ba");
  assert.equal(await status("GET /ready HTTP/1.1\r\nHost:"), "HTTP/1.1 403 Fo");
  assert.equal(await status("GET /ready HTTP/1.1"), "HTTP/1.1 403 Fo");
  assert.equal(await status("GET /ready HTTP/1.0"), "HTTP/1.1 403 Fo");
  assert.equal(await status("GET http://localhost/ready HTTP/1.1\r\nHost: localhost"), "HTTP/1.1 400 Ba");
  assert.equal(await status("OPTIONS * HTTP/1.1\r\nHost: localhost"), "HTTP/1.1 400 Ba");
});

test("nothing is said to pages of other sites", async (t) => {
  const { address } = await admin(t);
  const reply = await ask(address, "/ready", { headers: { origin: "http://evil.example" } });
  assert.deepEqual(
    Object.keys(reply.headers).filter((name) => name.startsWith("access-control")),
    [],
  );
  assert.equal(reply.headers["x-content-type-options"], "nosniff");
  assert.equal(reply.headers["cache-control"], "no-store");
});

test("a change is a JSON POST of nobody else's page (cross-site request forgery)", async (t) => {
  const { address, view } = await admin(t);
  const own = formatAddress(address);
  const cases: [status: number, headers: Record<string, string>][] = [
    [202, json],
    [202, { "content-type": "Application/JSON; charset=utf-8" }],
    [202, { ...json, origin: `http://${own}` }],
    [202, { ...json, origin: `https://${own}`, "sec-fetch-site": "same-origin" }],
    [202, { ...json, host: "localhost", origin: "http://localhost:80" }],
    [415, {}],
    [415, { "content-type": "text/plain" }],
    [415, { "content-type": "application/x-www-form-urlencoded" }],
    [415, { "content-type": "multipart/form-data; boundary=x" }],
    [415, { "content-type": "text/plain; application/json" }],
    [403, { ...json, origin: "http://evil.example" }],
    [403, { ...json, origin: "null" }],
    [403, { ...json, origin: "" }],
    [403, { ...json, origin: "http://127.0.0.1:1" }],
    [403, { ...json, origin: `http://${own}.evil.example` }],
    [403, { ...json, origin: `http://evil.example@${own}` }],
    [403, { ...json, origin: `file://${own}` }],
    [403, { ...json, "sec-fetch-site": "cross-site" }],
    [403, { ...json, "sec-fetch-site": "same-site" }],
    [403, { ...json, host: "evil.example", origin: "http://evil.example" }],
  ];
  for (const [status, headers] of cases) {
    view.done.length = 0;
    const reply = await ask(address, "/drain", { method: "POST", headers });
    assert.equal(reply.status, status, JSON.stringify(headers));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(view.done, status === 202 ? ["drain"] : [], JSON.stringify(headers));
  }
});

test("drain and quit happen once the answer is out", async (t) => {
  const { address, view } = await admin(t);
  const drain = await ask(address, "/drain", { method: "POST", headers: json, body: "{}" });
  assert.deepEqual(JSON.parse(drain.text), { draining: true });
  const quit = await ask(address, "/quit", { method: "POST", headers: json });
  assert.equal(quit.status, 202);
  assert.deepEqual(JSON.parse(quit.text), { quitting: true });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(view.done, ["drain", "quit"]);
});

test("the log level is changed to one of the levels, and to nothing else", async (t) => {
  const { address, view } = await admin(t);
  const post = (body: string) => ask(address, "/log-level", { method: "POST", headers: json, body });
  const good = await post('{"level":"debug"}');
  assert.equal(good.status, 200);
  assert.deepEqual(JSON.parse(good.text), { level: "debug" });
  const bad = [
    "",
    "{}",
    "debug",
    '"debug"',
    "[]",
    "null",
    '{"level":"loud"}',
    '{"level":7}',
    '{"level":"debug","x":1}',
    "{",
  ];
  for (const body of [...bad, '{"__proto__":{"level":"debug"}}']) {
    const reply = await post(body);
    assert.equal(reply.status, 400, body);
    assert.match(JSON.parse(reply.text).error, /trace, debug, info, warn, error, fatal, silent/);
  }
  assert.deepEqual(view.done, ["level debug"]);
});

test("a wildcard listener answers to the address that was dialled, and not to the wildcard", async (t) => {
  const { address } = await admin(t, { address: { kind: "tcp", host: "", port: 0 } });
  const port = address.kind === "tcp" ? address.port : 0;
  const status = async (dialled: string, host: string): Promise<number> =>
    (await ask(address, "/ready", { host: dialled, headers: { host } })).status;
  assert.equal(await status("127.0.0.1", `127.0.0.1:${port}`), 200);
  assert.equal(await status("127.0.0.2", `127.0.0.2:${port}`), 200);
  assert.equal(await status("127.0.0.1", "localhost"), 200);
  assert.equal(await status("127.0.0.1", "127.0.0.2"), 403);
  assert.equal(await status("127.0.0.1", `0.0.0.0:${port}`), 403);
  assert.equal(await status("127.0.0.1", "[::]"), 403);
  assert.equal(await status("127.0.0.1", "evil.example"), 403);
});

test("admin on a unix socket is for its owner, and asked as localhost", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "admin-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "admin.sock");
  const { address } = await admin(t, { address: { kind: "unix", path, mode: 0o600 } });
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await ask(address, "/ready", { headers: { host: "localhost" } })).status, 200);
  assert.equal((await ask(address, "/ready", { headers: { host: "evil.example" } })).status, 403);
});

test("what is no request is refused with a reason", async (t) => {
  const { address } = await admin(t);
  const cases: [octets: string | Buffer, answer: RegExp][] = [
    ["nonsense\r\n\r\n", /^HTTP\/1\.1 400 .*\{\s*"error": "the request is malformed"/s],
    [Buffer.from([0x16, 3, 1, 2, 0, 1, 0]), /^HTTP\/1\.1 400/],
    ["GET /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", /^HTTP\/1\.1 400/],
    [
      "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      /^HTTP\/1\.1 400/,
    ],
    [
      `GET /ready HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(20_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 .*over 16384 octets/s,
    ],
    [
      `POST /log-level HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n${"x".repeat(70_000)}`,
      /^HTTP\/1\.1 413 .*the body is over 65536 octets/s,
    ],
  ];
  for (const [octets, answer] of cases) assert.match(await raw(address, octets), answer);
});

test("a fault of our own is a 500 without a word about it", async (t) => {
  const { address, view } = await admin(t);
  view.metrics = () => Promise.reject(new Error("the secret is 42"));
  const reply = await ask(address, "/metrics");
  assert.equal(reply.status, 500);
  assert.deepEqual(JSON.parse(reply.text), { error: "a fault of our own; the log says more" });
  assert.equal((await ask(address, "/ready")).status, 200);
});

test("the page for people shows the state, runs no script and nothing that others wrote", async (t) => {
  const { address, view } = await admin(t);
  const waiting = [{ what: "upstream <i>orders</i>", since: "2030-01-01T00:00:00.000Z", detail: 'a & b "c"' }];
  view.ready = { ready: false, waiting };
  const { headers, text } = await ask(address, "/");
  assert.equal(headers["content-type"], "text/html; charset=utf-8");
  assert.match(
    String(headers["content-security-policy"]),
    /default-src 'none'; style-src 'sha256-.*frame-ancestors 'none'/,
  );
  for (const words of [
    "user",
    "1.2.3",
    "orders",
    "10.0.0.2:15006",
    "unreachable",
    "no instance is known",
    "no answer since",
  ])
    assert.ok(text.includes(words), words);
  assert.ok(text.includes("upstream &lt;i&gt;orders&lt;/i&gt;") && text.includes("a &amp; b &quot;c&quot;"));
  assert.doesNotMatch(text, /<script|<b>|<i>|https?:\/\/(?!HOST)/);
  for (const path of ["/ready", "/live", "/metrics", "/config", "/clusters", "/connections"])
    assert.ok(text.includes(`<a href="${path}">`), path);
  view.ready = { ready: true, detail: "<refused>" };
  assert.match((await ask(address, "/")).text, /Ready\.<.*&lt;refused&gt;/s);
});

test("a connection carries several requests", async (t) => {
  const { address } = await admin(t);
  const one = "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const text = await raw(address, `${one}${one}GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 3);
});

test("an address that is taken is an error that names it", async (t) => {
  const { address } = await admin(t);
  const options = { view: new FakeView(), hosts: () => [], clock: systemClock, log: pino({ level: "silent" }) };
  await assert.rejects(startAdmin(address, options), (error: Error) => error.message.includes(formatAddress(address)));
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { EngineServer } from "./support/engine-peer.ts";
import { type RunningProcess, runProcess, startProcess } from "./support/process.ts";
import { answerHead, callHead } from "./support/raw-call.ts";
import { fieldOf, RawPeer, RawServer } from "./support/raw-peer.ts";
import { eventually } from "./support/with-proxy.ts";

const main = join(dirname(dirname(fileURLToPath(import.meta.url))), "src", "main.ts");
const loopback = "127.0.0.1:0";

type Config = Readonly<Record<string, unknown>>;

function configText(config: Config): string {
  const listeners = { outbound: loopback, admin: loopback, probe: loopback };
  const all = config.service === undefined ? listeners : { ...listeners, inbound: loopback };
  return JSON.stringify({ listeners: all, drain: { notice: "50ms", grace: "5s" }, ...config });
}

/** `outrigger run` in a process of its own, once it is ready. */
async function start(config: Config): Promise<{ sidecar: RunningProcess; ready: Map<string, string> }> {
  const sidecar = await startProcess(process.execPath, [main, "run", "-c", "-"], { input: configText(config) });
  const [line] = await sidecar.line(/^outrigger ready .*$/, 20_000);
  return {
    sidecar,
    ready: new Map([...line.matchAll(/(\S+?)=(\S+)/g)].map(([, name = "", value = ""]) => [name, value])),
  };
}

function run(config: Config) {
  return runProcess(process.execPath, [main, "run", "-c", "-"], { input: configText(config), timeout: 30_000 });
}

/** The log: every line of standard error has to be JSON with a level, a time and a message. */
function logOf(sidecar: { stderr(): string }): Record<string, unknown>[] {
  return sidecar
    .stderr()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const entry: Record<string, unknown> = JSON.parse(line);
      for (const key of ["level", "time", "msg", "service", "version"]) assert.equal(typeof entry[key], "string", line);
      return entry;
    });
}

async function post(address: string | undefined, path: string): Promise<number> {
  const headers = { "content-type": "application/json" };
  return (await fetch(`http://${address}${path}`, { method: "POST", headers, body: "{}" })).status;
}

test("standard output has one line, once it is ready, with what is bound; the log is JSON on standard error", async () => {
  const { sidecar, ready } = await start({
    service: { name: "user", address: "127.0.0.1:50051", health: "none" },
    upstreams: { orders: { discovery: "static", endpoints: ["127.0.0.1:7001"], listen: loopback } },
    log: { level: "debug" },
  });
  assert.equal(ready.get("service"), "user");
  assert.deepEqual([...ready.keys()], ["service", "inbound", "outbound", "upstreams.orders", "admin", "probe"]);
  const ports = [...ready.values()].slice(1).map((address) => /^127\.0\.0\.1:(\d+)$/.exec(address)?.[1]);
  assert.equal(new Set(ports).size, 5, "actual ports");
  assert.ok(!ports.includes("0") && !ports.includes(undefined));
  assert.deepEqual(await sidecar.stop(), { code: 0, signal: null });
  assert.match(sidecar.stdout(), /^outrigger ready .*\n$/);
  assert.ok(logOf(sidecar).length > 0);
});

for (const [what, stdout] of [
  ["a pipe that nobody reads any more", ">(true)"],
  ["a file on a full disk", "/dev/full"],
] as const) {
  test(`a sidecar whose standard output is ${what} serves all the same`, async () => {
    const command = ["bash", process.execPath, main, "run", "-c", "-"];
    const sidecar = await startProcess("bash", ["-c", `exec "$@" > ${stdout}`, ...command], { input: configText({}) });
    const [, outbound = ""] = await sidecar.line(/listening for outbound on ([^"]+)/, 20_000);
    const caller = await RawPeer.connect(outbound);
    const { head } = await caller.answer(caller.request(callHead("nobody"), true));
    assert.equal(fieldOf(head, "outrigger-reason"), "NO_ROUTE");
    caller.socket.destroy();
    assert.deepEqual(await sidecar.stop(20_000), { code: 0, signal: null });
  });
}

test("what is absent is left out of the ready line", async () => {
  const { sidecar, ready } = await start({ identity: { name: "batch" } });
  assert.deepEqual([...ready.keys()], ["service", "outbound", "admin", "probe"]);
  assert.equal(ready.get("service"), "batch");
  await sidecar.stop();
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} drains, and the process ends with 0 once the last call has ended`, async (t) => {
    const application = await RawServer.listen();
    t.after(() => application.close());
    const { sidecar, ready } = await start({ service: { name: "up", address: application.address, health: "none" } });
    const caller = await RawPeer.connect(ready.get("inbound") ?? "");
    t.after(() => void caller.socket.destroy());
    const stream = caller.request(callHead("up"), true);
    const app = await application.peer();
    const request = await app.nextRequest();
    sidecar.signal(signal);
    await caller.next("goaway");
    app.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    assert.equal(fieldOf((await caller.answer(stream)).head, "grpc-status"), "0");
    await application.close();
    assert.deepEqual(await sidecar.exited, { code: 0, signal: null });
    assert.equal(logOf(sidecar).filter(({ cut }) => cut !== undefined).length, 0);
  });
}

test("calls that outlast grace are cut, answered, and told by their number; the process ends with 0", async (t) => {
  const application = await RawServer.listen();
  t.after(() => application.close());
  const { sidecar, ready } = await start({
    service: { name: "up", address: application.address, health: "none" },
    drain: { notice: "10ms", grace: "200ms" },
  });
  const caller = await RawPeer.connect(ready.get("inbound") ?? "");
  t.after(() => void caller.socket.destroy());
  const streams = [caller.request(callHead("up"), true), caller.request(callHead("up"), true)];
  const app = await application.peer();
  for (const _ of streams) await app.nextRequest();
  sidecar.signal("SIGTERM");
  for (const stream of streams) {
    const { head } = await caller.answer(stream);
    assert.deepEqual(
      [fieldOf(head, "grpc-status"), fieldOf(head, "outrigger-reason"), fieldOf(head, "grpc-message")],
      ["14", "DRAINING", "the sidecar is shutting down"],
    );
  }
  assert.deepEqual(await sidecar.exited, { code: 0, signal: null });
  const told = logOf(sidecar).find(({ cut }) => cut !== undefined);
  assert.deepEqual([told?.level, told?.cut], ["warn", 2]);
});

test("a second signal ends it at once with 130", async (t) => {
  const application = await RawServer.listen();
  t.after(() => application.close());
  const { sidecar, ready } = await start({
    service: { name: "up", address: application.address, health: "none" },
    drain: { notice: "20s", grace: "60s" },
  });
  const caller = await RawPeer.connect(ready.get("inbound") ?? "");
  t.after(() => void caller.socket.destroy());
  caller.request(callHead("up"), true);
  await (await application.peer()).nextRequest();
  sidecar.signal("SIGTERM");
  await sidecar.line(/draining/);
  await eventually(
    async () => (await fetch(`http://${ready.get("probe")}/ready`)).status === 503,
    () => "it drains",
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  const began = performance.now();
  sidecar.signal("SIGINT");
  assert.deepEqual(await sidecar.exited, { code: 130, signal: null });
  assert.ok(performance.now() - began < 3000);
});

test("admin may ask it to drain or to quit, and it ends with 0", async () => {
  for (const path of ["/drain", "/quit"]) {
    const { sidecar, ready } = await start({ identity: { name: "batch" } });
    assert.ok((await post(ready.get("admin"), path)) < 300, path);
    assert.deepEqual(await sidecar.exited, { code: 0, signal: null }, path);
  }
});

test("an address that is taken ends it with 1, and the log says which and by whom", async (t) => {
  const holder = createServer().listen(0, "127.0.0.1");
  t.after(() => void holder.close());
  await once(holder, "listening");
  const address = holder.address();
  assert.ok(address !== null && typeof address === "object");
  for (const listener of ["outbound", "admin", "probe"]) {
    const listeners = { outbound: loopback, admin: loopback, probe: loopback, [listener]: `127.0.0.1:${address.port}` };
    const ended = await run({ listeners });
    assert.equal(ended.code, 1, listener);
    assert.equal(ended.stdout, "");
    assert.match(ended.stderr, new RegExp(`127\\.0\\.0\\.1:${address.port}.*pid ${process.pid}`), listener);
  }
});

test("a broken configuration ends it with 2 before anything is bound, with its mistakes on standard error", async () => {
  const ended = await run({ upstreams: { orders: { discovery: "static" } } });
  assert.equal(ended.code, 2);
  assert.equal(ended.stdout, "");
  assert.match(ended.stderr, /^<stdin>:1:\d+: /);
});

test("a call goes through two processes", async (t) => {
  const application = await EngineServer.start(() => [...answerHead, ["grpc-status", "0"]]);
  t.after(() => application.stop());
  const near = await start({ service: { name: "up", address: application.address, health: "none" } });
  t.after(() => near.sidecar.kill());
  const endpoints = [near.ready.get("inbound")];
  const far = await start({ upstreams: { up: { discovery: "static", endpoints } }, log: { access: "all" } });
  t.after(() => far.sidecar.kill());
  const caller = await RawPeer.connect(far.ready.get("outbound") ?? "");
  t.after(() => void caller.socket.destroy());
  const answer = await caller.answer(caller.request(callHead("up"), true));
  assert.equal(fieldOf(answer.head, "grpc-status"), "0");
  await far.sidecar.line(/"msg":"call"/);
  const line = logOf(far.sidecar).find(({ msg }) => msg === "call");
  assert.deepEqual([line?.upstream, line?.grpc_status, line?.method], ["up", "OK", "test.v1.Test/Call"]);
});

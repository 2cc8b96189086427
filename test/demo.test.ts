import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Postgres } from "./support/postgres.ts";
import { runProcess, startProcess } from "./support/process.ts";
import { skipUnless } from "./support/real-parts.ts";

const DEMO = join(import.meta.dirname, "..", "deploy", "demo", "demo.ts");
/** No Consul is to be found, nor a database of somebody else's. */
const ALONE = { CONSUL_HTTP_ADDR: "127.0.0.1:1", DATABASE: undefined };
const LIMIT = 120_000;

test("the demo answers every call, and leaves nothing behind", async () => {
  const { code, stdout, stderr } = await runProcess(process.execPath, [DEMO, "--once"], { env: ALONE, timeout: LIMIT });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /services are found in the embedded registry/);
  assert.match(stdout, /^Every one of \d{3} calls was answered\.$/m);
  for (const address of addressesIn(stdout)) assert.equal(await answers(address), false, address);
});

test("the demo does so on PostgreSQL", skipUnless("postgres", "initdb"), async (t) => {
  const server = await Postgres.start();
  t.after(() => server.stop());
  const env = { ...ALONE, DATABASE: server.url() };
  const { code, stdout, stderr } = await runProcess(process.execPath, [DEMO, "--once"], { env, timeout: LIMIT });
  assert.equal(code, 0, stdout + stderr);
});

test("the demo stays up until it is told to end, and one told so while it starts leaves nothing behind", async () => {
  const staying = await startProcess(process.execPath, [DEMO], { env: ALONE });
  await staying.line(/Stop with Ctrl-C/, LIMIT);
  const [, admin = ""] = await staying.line(/(http:\S+) {2}the caller's sidecar/);
  assert.equal((await fetch(`${admin}ready`)).status, 200);
  staying.signal("SIGINT");
  assert.deepEqual(await staying.exited, { code: 0, signal: null });

  const starting = await startProcess(process.execPath, [DEMO], { env: ALONE });
  await starting.line(/^user-\d on /, LIMIT);
  starting.signal("SIGTERM");
  assert.deepEqual(await starting.exited, { code: 130, signal: null });
  const addresses = addressesIn(staying.stdout() + starting.stdout());
  assert.ok(addresses.length >= 4);
  for (const address of addresses) assert.equal(await answers(address), false, address);
});

test("a demo that cannot start says why", async () => {
  const env = { ...ALONE, DATABASE: "postgres://me:secret@127.0.0.1:1/users" };
  const { code, stdout, stderr } = await runProcess(process.execPath, [DEMO, "--once"], { env, timeout: LIMIT });
  assert.equal(code, 1);
  assert.match(
    stdout,
    /The demo has failed: user-\d ended before it was ready\n.*cannot open database postgres:\/\/me@/,
  );
  assert.doesNotMatch(stdout + stderr, /secret/);
});

/** Where the demo's applications and sidecars listen. */
function addressesIn(output: string): string[] {
  return [...output.matchAll(/127\.0\.0\.1:\d+/g)].map(([address]) => address);
}

/** Whether somebody takes connections; a process that was killed may take a moment to be gone. */
async function answers(address: string): Promise<boolean> {
  const [host = "", port = ""] = address.split(":");
  for (let tries = 0; tries < 20; tries++) {
    const socket = connect(Number(port), host);
    const taken = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (!taken) return false;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return true;
}

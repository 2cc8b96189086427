import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { sampleValue } from "../../support/prometheus.ts";
import { answerHead, callHead, inboundHop } from "../../support/raw-call.ts";
import { ISSUER, Issuer, KeyServer, keySet } from "../../support/tokens.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { call, echo, folder, type Made } from "./mesh.ts";

async function keyServer(scope: Scope, ...issuers: readonly Issuer[]): Promise<KeyServer> {
  const server = await KeyServer.start(keySet(...issuers));
  scope.onEnd(() => server.stop());
  return server;
}

/** An application `up` whose callers need tokens. */
async function guarded(scope: Scope, keys: object, more: object = {}, config: object = {}) {
  const { address, seen } = await echo(scope);
  const accounts = { issuer: ISSUER, audiences: ["up"], keys, claims: { "x-user": "sub" }, ...more };
  const sidecar = await scope.sidecar({
    discovery: { directory: { path: await folder(scope) } },
    service: { name: "up", address },
    jwt: { providers: { accounts } },
    ...config,
  });
  return { sidecar, seen };
}

function callBy(sidecar: Sidecar, token: string, fields: Readonly<Record<string, string>> = {}): Promise<Made> {
  return call(sidecar.inbound, { authorization: `Bearer ${token}`, ...fields });
}

test("a token by a key set at a URL lets a call in, and its claims decide and are told in place of forged ones", async () => {
  await inScope(async (scope) => {
    const issuer = await Issuer.make("one");
    const { url } = await keyServer(scope, issuer);
    const authorization = { allow: [{ name: "admins", claims: { role: "admin" } }] };
    const { sidecar, seen } = await guarded(scope, { url }, {}, { authorization });
    const admin = await issuer.sign({ role: ["dev", "admin"] });
    assert.equal((await callBy(sidecar, admin, { "x-user": "root" })).error, undefined);
    assert.deepEqual([seen[0]?.get("x-user"), seen[0]?.get("authorization")], [["ann"], []]);
    const other = await callBy(sidecar, await issuer.sign({ role: "dev" }));
    assert.deepEqual([other.error?.code, other.reason], [7, "AUTHZ_DENIED"]);
    const stranger = await call(sidecar.inbound, { "x-user": "root" });
    assert.deepEqual([stranger.error?.code, stranger.reason], [16, "JWT_MISSING"]);
    assert.deepEqual(stranger.metadata?.get("www-authenticate"), ["Bearer"]);
    assert.equal((await callBy(sidecar, admin)).error, undefined);
    const metrics = await sidecar.metrics();
    const counted = (result: string) => sampleValue(metrics, "outrigger_jwt_calls_total", { result });
    assert.deepEqual(["verified", "known", "missing"].map(counted), [3, 1, 1]);
    // Nothing that anybody reads has a part of a token.
    const { explanations } = sidecar.runtime.services;
    const told = JSON.stringify([sidecar.lines, explanations.latest(100, false)]);
    for (const part of admin.split(".")) assert.ok(!told.includes(part));
  });
});

test("another key comes into force with the first token that it has signed, and a key that is gone takes its tokens with it", async () => {
  await inScope(async (scope) => {
    const [old, next] = [await Issuer.make("old"), await Issuer.make("next")];
    const keys = await keyServer(scope, old);
    const { sidecar } = await guarded(scope, { url: keys.url });
    const before = await old.sign();
    assert.equal((await callBy(sidecar, before)).error, undefined);
    keys.text = keySet(old, next);
    assert.equal((await callBy(sidecar, await next.sign())).error, undefined);
    assert.equal((await callBy(sidecar, before)).error, undefined);
    // The issuer is away: what is known goes on.
    keys.mode = "fail";
    sidecar.clock.jump(330_000);
    await eventually(
      () => JSON.stringify(sidecar.runtime.ready()).includes("the keys of accounts are the last good ones"),
      () => JSON.stringify(sidecar.runtime.ready()),
    );
    // The clock of the sidecar has gone on.
    const later = Math.floor(Date.now() / 1000) + 600;
    assert.equal((await callBy(sidecar, await next.sign({ exp: later }))).error, undefined);
    keys.mode = "answer";
    keys.text = keySet(next);
    const long = await old.sign({ exp: later });
    assert.equal((await callBy(sidecar, long)).error, undefined);
    sidecar.clock.jump(70_000);
    await eventually(
      async () => (await callBy(sidecar, long)).reason === "JWT_INVALID",
      () => "the key to be gone",
    );
  });
});

test("before the first keys a sidecar is not ready, and a call with a token finds no way in", async () => {
  await inScope(async (scope) => {
    const issuer = await Issuer.make("one");
    const keys = await keyServer(scope, issuer);
    keys.mode = "fail";
    const { sidecar } = await guarded(scope, { url: keys.url });
    const { error, reason } = await callBy(sidecar, await issuer.sign());
    assert.deepEqual([error?.code, reason], [14, "JWT_KEYS_UNAVAILABLE"]);
    const state = sidecar.runtime.ready();
    assert.ok(!state.ready);
    assert.match(JSON.stringify(state.waiting), /"jwt keys".*accounts: it answers with 503/);
    keys.mode = "answer";
    sidecar.clock.jump(70_000);
    await eventually(
      () => sidecar.runtime.ready().ready,
      () => JSON.stringify(sidecar.runtime.ready()),
    );
    const later = Math.floor(Date.now() / 1000) + 600;
    assert.equal((await callBy(sidecar, await issuer.sign({ exp: later }))).error, undefined);
  });
});

test("a key set in a file is read again when it changes", async () => {
  await inScope(async (scope) => {
    const [old, next] = [await Issuer.make("old"), await Issuer.make("next", "RS256")];
    const file = join(await folder(scope), "keys.json");
    await writeFile(file, keySet(old));
    const { sidecar, seen } = await guarded(scope, { file }, { toApplication: "forward" });
    const token = await old.sign();
    assert.equal((await callBy(sidecar, token)).error, undefined);
    assert.deepEqual(seen[0]?.get("authorization"), [`Bearer ${token}`]);
    await writeFile(`${file}.new`, keySet(next));
    await rename(`${file}.new`, file);
    await eventually(
      async () => (await callBy(sidecar, token)).reason === "JWT_INVALID",
      () => "the old key to be gone",
      20_000,
    );
    assert.equal((await callBy(sidecar, await next.sign())).error, undefined);
  });
});

test("a request that comes while its token is verified is held back within its window, and goes on whole", async () => {
  await inScope(async (scope) => {
    const issuer = await Issuer.make("one");
    const keys = await keyServer(scope, issuer);
    keys.mode = "hang";
    const accounts = { issuer: ISSUER, audiences: ["up"], keys: { url: keys.url, timeout: "1m" } };
    const { caller, sidecar, server } = await inboundHop(scope, { more: { jwt: { providers: { accounts } } } });
    const { room } = sidecar.shared;
    const stream = caller.request(callHead("up", ["authorization", `Bearer ${await issuer.sign()}`]));
    // What the sidecar announces (SETTINGS_INITIAL_WINDOW_SIZE).
    const window = 131_072;
    await caller.next("settings");
    for (let sent = 0; sent < window; sent += 16_383)
      caller.data(stream, Buffer.alloc(Math.min(16_383, window - sent)));
    await eventually(
      () => room.octets === window,
      () => `the request to be held: ${room.octets}`,
    );
    assert.equal(room.calls, 1);
    await assert.rejects(caller.next("window", stream, 100), "the caller may send nothing more");
    keys.wake();
    const application = await server.peer();
    const { stream: received } = await application.nextRequest();
    await eventually(
      () => application.octets(received) === window,
      () => `the whole request: ${application.octets(received)}`,
    );
    await caller.next("window", stream);
    assert.equal(room.calls, 0);
    application.headers(received, answerHead);
    await eventually(
      () => room.octets === 0,
      () => `what is kept for another attempt to be given back: ${room.octets}`,
    );
    caller.reset(stream, 8);
  });
});

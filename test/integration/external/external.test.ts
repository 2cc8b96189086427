import assert from "node:assert/strict";
import { test } from "node:test";
import type { Metadata } from "@grpc/grpc-js";
import { ErrorCode } from "../../../src/http2/errors.ts";
import { offered } from "../../runtime/offered.ts";
import { type Asked, AuthorizationServer } from "../../support/authorization-server.ts";
import { idOf, TestCa } from "../../support/certificates.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { callHead, connectPeer, message } from "../../support/raw-call.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../../support/with-proxy.ts";
import { call, echo, filesOf, folder, found } from "../mtls/mesh.ts";

interface World {
  readonly service: AuthorizationServer;
  readonly sidecar: Sidecar;
  /** What the application was told of calls that reached it. */
  readonly seen: Metadata[];
  readonly config: (external: object) => SidecarConfig;
}

/** An application, its sidecar in plaintext, and the service that it asks. */
async function world(scope: Scope, external: object = {}): Promise<World> {
  const service = new AuthorizationServer();
  await service.start();
  scope.onEnd(() => service.stop());
  const { address, seen } = await echo(scope);
  const config = (more: object): SidecarConfig => ({
    service: { name: "up", address },
    authorization: { default: "allow", external: { address: service.address, timeout: "10s", ...more } },
  });
  return { service, seen, config, sidecar: await scope.sidecar(config(external)) };
}

async function counted(sidecar: Sidecar, result: string): Promise<number> {
  return sampleValue(await sidecar.metrics(), "outrigger_authorization_service_calls_total", { result }) ?? -1;
}

function metadataOf({ metadata }: Asked, name: string): string | undefined {
  return metadata.get(name)[0]?.toString();
}

test("the service is told who calls over mTLS, and may itself be an upstream that is reached by mTLS", async () => {
  await inScope(async (scope) => {
    const ca = await TestCa.make();
    const path = await folder(scope);
    const { address, seen } = await echo(scope);
    const service = new AuthorizationServer();
    await service.start();
    scope.onEnd(() => service.stop());
    const common = async (name: string): Promise<SidecarConfig> => ({
      discovery: { directory: { path } },
      mtls: { mode: "strict", source: { files: (await filesOf(scope, ca, name)).files } },
    });
    await scope.sidecar({
      ...(await common("authz")),
      service: { name: "authz", address: service.address },
    });
    const inbound = await scope.sidecar({
      ...(await common("up")),
      service: { name: "up", address },
      upstreams: { authz: {} },
      authorization: { default: "allow", external: { upstream: "authz", timeout: "10s" } },
    });
    const caller = await scope.sidecar({
      ...(await common("caller")),
      identity: { name: "caller" },
      upstreams: { up: {} },
    });
    await found(caller);
    assert.equal(
      (await call(caller.outbound, { "x-forwarded-client-cert": "URI=spiffe://forged/x" })).error,
      undefined,
    );
    const [asked] = service.asked;
    assert.ok(asked !== undefined);
    assert.equal(asked.source.principal, idOf("caller"));
    assert.equal(asked.source.service, "caller");
    assert.equal(asked.destination.principal, idOf("up"));
    assert.equal(asked.destination.service, "up");
    assert.equal(asked.destination.address, inbound.inbound);
    assert.match(asked.headers["x-forwarded-client-cert"] ?? "", /^By=spiffe:[^,]*;URI=spiffe:[^,]*\/svc\/caller$/);
    assert.match(metadataOf(asked, "x-forwarded-client-cert") ?? "", /URI=spiffe:.*\/svc\/up$/, "asked by mTLS");
    assert.equal(seen.length, 1);
    service.answer = () => ({ code: 7 });
    const refused = await call(caller.outbound);
    assert.deepEqual([refused.error?.code, refused.reason], [7, "AUTHZ_REFUSED"]);
    assert.equal(seen.length, 1);
    await eventually(
      async () => (await counted(inbound, "denied")) === 1,
      () => "a denied call in the metric",
    );
  });
});

test("a field that is reserved is never what a caller says, whether the service is asked, sets it, or is down", async () => {
  await inScope(async (scope) => {
    const { service, sidecar, seen } = await world(scope, {
      reserved: ["x-user"],
      onFailure: "allow",
      match: { methods: ["test.v1.Test/*"], metadata: { "x-ask": "*" } },
    });
    const users = async (fields: Record<string, string>): Promise<readonly unknown[] | undefined> => {
      assert.equal((await call(sidecar.inbound, { "x-user": "root", ...fields })).error, undefined);
      return seen.at(-1)?.get("x-user");
    };
    assert.deepEqual(await users({}), []);
    assert.equal(service.asked.length, 0, "not one that it is asked about");
    assert.deepEqual(await users({ "x-ask": "1" }), []);
    assert.equal(service.asked[0]?.headers["x-user"], undefined);
    service.answer = () => ({ code: 0, ok: { fields: [{ name: "X-User", value: "ann" }] } });
    assert.deepEqual(await users({ "x-ask": "1" }), ["ann"]);
    service.stop();
    assert.deepEqual(await users({ "x-ask": "1" }), []);
    assert.equal(await counted(sidecar, "failedAllowed"), 1);
  });
});

test("what only the sidecar may say is not changed for the service, and the log says so once", async () => {
  await inScope(async (scope) => {
    const { service, sidecar, seen } = await world(scope);
    const names = [
      "x-forwarded-client-cert",
      "outrigger-reason",
      ":path",
      "te",
      "content-length",
      "connection",
      "x bad",
    ];
    const fields = [...names, "x-good"].map((name) => ({ name, value: "new" }));
    const value = { name: "x-value", value: "a\r\nx-smuggled: 1" };
    service.answer = () => ({ code: 0, ok: { fields: [...fields, value], answer: [...fields, value] } });
    assert.equal((await call(sidecar.inbound)).error, undefined);
    assert.equal((await call(sidecar.inbound)).error, undefined);
    const told = seen.at(-1)?.getMap() ?? {};
    assert.equal(told["x-good"], "new");
    for (const name of ["x-forwarded-client-cert", "outrigger-reason", "x bad", "x-value", "x-smuggled"])
      assert.equal(told[name], undefined, name);
    const complaints = sidecar.lines.filter(
      ({ msg }) => msg === "the authorization service set a field that it may not set",
    );
    assert.equal(complaints.length, names.length + 1);
    assert.deepEqual(new Set(complaints.map(({ field }) => field)), new Set([...names, "x-value"]));
  });
});

test("it is shown the fields that it may see, told the context, and knows this sidecar by its metadata and the trace", async () => {
  await inScope(async (scope) => {
    const { service, sidecar } = await world(scope, {
      show: ["x-a*", "authorization"],
      context: { place: "here" },
      metadata: { "x-token": "t0ken" },
    });
    const fields = { "x-a": "1", "x-ab": "2", "x-b": "3", authorization: "Bearer q", "grpc-timeout-like": "4" };
    await call(sidecar.inbound, fields);
    const [asked] = service.asked;
    assert.ok(asked !== undefined);
    const shown = Object.keys(asked.headers).filter((name) => !name.startsWith(":"));
    assert.deepEqual(shown.sort(), ["authorization", "x-a", "x-ab"]);
    assert.equal(asked.headers[":path"], "/test.v1.Test/Unary");
    assert.deepEqual(asked.context, { place: "here" });
    assert.equal(metadataOf(asked, "x-token"), "t0ken");
    assert.doesNotMatch(JSON.stringify(sidecar.lines), /t0ken|Bearer q/);
  });
});

test("a question is withdrawn when its caller gives up, and when the call's deadline passes before the service's", async () => {
  await inScope(async (scope) => {
    const { service, sidecar, seen } = await world(scope);
    service.answer = () => "nothing";
    const peer = await connectPeer(scope, sidecar.inbound);
    const stream = peer.request(callHead("up"), false);
    peer.data(stream, message("hello"));
    await eventually(
      () => service.asked.length === 1,
      () => "a question",
    );
    assert.equal(sidecar.runtime.services.external.pending, 1);
    peer.reset(stream, ErrorCode.CANCEL);
    await eventually(
      () => service.withdrawn === 1,
      () => "a withdrawn question",
    );
    const late = peer.request(callHead("up", ["grpc-timeout", "300m"]), true);
    const { head } = await peer.answer(late);
    assert.equal(head.find(({ name }) => name === "outrigger-reason")?.value, "DEADLINE_CLIENT");
    await eventually(
      () => service.withdrawn === 2,
      () => "a second withdrawn question",
    );
    const left = Number(service.asked[1]?.deadline) - Date.now();
    assert.ok(left < 10_000, "the service is told how long it has");
    assert.equal(sidecar.runtime.services.external.pending, 0);
    assert.equal(await counted(sidecar, "abandoned"), 2);
    assert.equal(seen.length, 0);
    await sidecar.rest();
  });
});

test("calls beyond those that may wait for it are as if it did not answer", async () => {
  await inScope(async (scope) => {
    const { service, sidecar } = await world(scope);
    service.answer = () => "nothing";
    const peers = await Promise.all([connectPeer(scope, sidecar.inbound), connectPeer(scope, sidecar.inbound)]);
    const streams = peers.map((peer) => Array.from({ length: 501 }, () => peer.request(callHead("up"), true)));
    await eventually(
      async () => (await counted(sidecar, "failedDenied")) === 2,
      () => "two calls too many",
    );
    assert.equal(sidecar.runtime.services.external.pending, 1000);
    for (const [at, peer] of peers.entries())
      for (const stream of streams[at] ?? []) peer.reset(stream, ErrorCode.CANCEL);
    await eventually(
      () => sidecar.runtime.services.external.pending === 0,
      () => "no question",
    );
  });
});

test("in shadow calls do not wait for it and nothing is changed; what would be denied is counted and told", async () => {
  await inScope(async (scope) => {
    const { service, sidecar, seen } = await world(scope, { mode: "shadow", timeout: "300ms" });
    service.answer = () => ({ code: 7, message: "no" });
    assert.equal((await call(sidecar.inbound)).error, undefined);
    await eventually(
      async () => (await counted(sidecar, "shadowDenied")) === 1,
      () => "a shadow denial",
    );
    assert.ok(sidecar.lines.some(({ msg, why }) => String(msg).includes("in shadow") && why === "no"));
    service.answer = () => ({ code: 0, ok: { fields: [{ name: "x-a", value: "1" }] } });
    assert.equal((await call(sidecar.inbound)).error, undefined);
    assert.deepEqual(seen.at(-1)?.get("x-a"), []);
    service.answer = () => "nothing";
    assert.equal((await call(sidecar.inbound)).error, undefined);
    await eventually(
      async () => (await counted(sidecar, "shadowFailed")) === 1,
      () => "a shadow failure",
    );
    assert.equal(await counted(sidecar, "shadowAllowed"), 1);
    assert.equal(seen.length, 3);
  });
});

test("rules decide first; about a call that they refuse nobody is asked", async () => {
  await inScope(async (scope) => {
    const { service, sidecar, config } = await world(scope);
    const rules = config({});
    const deny = [{ name: "no-tests", metadata: { "x-test": "*" } }];
    const next = offered(sidecar, { ...rules, authorization: { ...rules.authorization, deny } });
    assert.equal((await sidecar.runtime.apply(next)).kind, "applied");
    assert.equal((await call(sidecar.inbound, { "x-test": "1" })).reason, "AUTHZ_DENIED");
    assert.equal(service.asked.length, 0);
    assert.equal((await call(sidecar.inbound)).error, undefined);
    assert.equal(service.asked.length, 1);
  });
});

test("a reload goes over to another service, counts stay, and its explanation, state and metric say how it is", async () => {
  await inScope(async (scope) => {
    const { service, sidecar, config } = await world(scope);
    assert.equal((await call(sidecar.inbound)).error, undefined);
    const other = new AuthorizationServer();
    await other.start();
    scope.onEnd(() => other.stop());
    other.answer = () => ({ error: 14 });
    const next = offered(sidecar, config({ address: other.address, failureStatus: "unavailable" }));
    assert.equal((await sidecar.runtime.apply(next)).kind, "applied");
    const { error, reason } = await call(sidecar.inbound);
    assert.deepEqual([error?.code, reason], [14, "AUTHZ_UNAVAILABLE"]);
    assert.doesNotMatch(error?.details ?? "", new RegExp(other.address), "a stranger is told no address");
    assert.deepEqual([service.asked.length, other.asked.length], [1, 1]);
    assert.equal(await counted(sidecar, "allowed"), 1);
    assert.equal(await counted(sidecar, "failedDenied"), 1);
    const metrics = await sidecar.metrics();
    assert.equal(sampleValue(metrics, "outrigger_authorization_service_down", {}), 1);
    assert.equal(sidecar.runtime.services.external.failing, "UNAVAILABLE: no");
    const { explanations } = sidecar.runtime.services;
    const [latest] = explanations.latest(1, false);
    const [explained] = explanations.find(latest?.id ?? "");
    const said = explained?.steps.map(({ text }) => text) ?? [];
    assert.ok(
      said.includes("not let in by the authorization service, which gave no answer: UNAVAILABLE: no"),
      said.join("\n"),
    );
    other.answer = () => ({ code: 0 });
    assert.equal((await call(sidecar.inbound)).error, undefined);
    assert.ok(sidecar.lines.some(({ msg }) => msg === "the authorization service answers again"));
    // Without it nobody is asked.
    const without = offered(sidecar, { service: config({}).service ?? {} });
    assert.equal((await sidecar.runtime.apply(without)).kind, "applied");
    assert.equal((await call(sidecar.inbound)).error, undefined);
    assert.equal(other.asked.length, 2);
    assert.equal(await counted(sidecar, "allowed"), -1, "no series without a service");
  });
});

test("a caller that speaks no gRPC gets the service's HTTP answer", async () => {
  await inScope(async (scope) => {
    const { service, sidecar } = await world(scope);
    const fields = [{ name: "location", value: "https://login.test/" }];
    service.answer = () => ({ code: 16, denied: { status: 302, body: "log in", fields } });
    const peer = await connectPeer(scope, sidecar.inbound);
    const head = callHead("up").filter(([name]) => name !== "content-type" && name !== "te");
    const { head: answer, data } = await peer.answer(peer.request(head, true));
    const field = (name: string): string | undefined => answer.find((one) => one.name === name)?.value;
    assert.deepEqual([field(":status"), field("location"), data.toString()], ["302", "https://login.test/", "log in"]);
    assert.equal(field("outrigger-reason"), "AUTHZ_REFUSED");
  });
});

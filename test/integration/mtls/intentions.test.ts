import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type ServerDuplexStream, type ServiceError } from "@grpc/grpc-js";
import type { Consul } from "../../support/consul.ts";
import { GrpcServer, grpcClient, testService } from "../../support/grpc-service.ts";
import { freePort } from "../../support/ports.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { ISSUER, Issuer, KeyServer, keySet } from "../../support/tokens.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { consulProxy } from "./consul-proxy.ts";
import { agent, call, echo, found, intend } from "./mesh.ts";

interface Pair {
  readonly inbound: Sidecar;
  readonly web: Sidecar;
  readonly seen: Metadata[];
}

/** An application `up` behind a sidecar that obeys intentions, and the sidecar of a caller `web`. */
async function pair(
  scope: Scope,
  consul: Consul,
  authorization: object = {},
  application?: string,
  more: object = {},
): Promise<Pair> {
  const { address, seen } = await echo(scope);
  const token = consul.token === undefined ? {} : { token: consul.token };
  const discovery = { consul: { address: consul.address, ...token } };
  const mtls = { source: { consul: {} } };
  const inbound = await scope.sidecar({
    discovery,
    mtls: { mode: "permissive", ...mtls },
    service: { name: "up", address: application ?? address },
    authorization: { intentions: "consul", ...authorization },
    ...more,
  });
  const web = await scope.sidecar({
    discovery,
    mtls: { mode: "strict", ...mtls },
    identity: { name: "web" },
    upstreams: { up: {} },
  });
  await found(web);
  return { inbound, web, seen };
}

/** Waits until a sidecar's intentions number so many. */
async function known(sidecar: Sidecar, intentions: number): Promise<void> {
  await eventually(
    () => sidecar.runtime.intentions.current.current?.intentions.length === intentions,
    () => `${intentions} intentions: ${JSON.stringify(sidecar.runtime.intentions.current.current)}`,
  );
}

async function reasonOf(sidecar: Sidecar, fields: Readonly<Record<string, string>> = {}): Promise<string> {
  const { error, reason } = await call(sidecar.outbound, fields);
  return error === undefined ? "" : reason;
}

test(
  "intentions of a real Consul decide who calls, by source and by HTTP, from the moment they change",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const { inbound, web, seen } = await pair(scope, consul);
      // Without intentions it is the default of an agent without ACLs.
      assert.equal(await reasonOf(web), "");

      await intend(consul, [{ Name: "web", Action: "deny" }]);
      await known(inbound, 1);
      assert.equal(await reasonOf(web), "AUTHZ_DENIED");
      const line = await inbound.call(1);
      assert.match(String(line.detail), /\/svc\/web: the intention web => up denies it$/);
      // Nobody without an identity is a source.
      assert.equal((await call(inbound.inbound)).error, undefined);

      await intend(consul, [
        { Name: "web", Action: "allow" },
        { Name: "*", Action: "deny" },
      ]);
      await known(inbound, 2);
      assert.equal(await reasonOf(web), "");
      const stranger = await call(inbound.inbound);
      assert.deepEqual([stranger.error?.code, stranger.reason], [16, "NO_IDENTITY"]);

      await intend(consul, [
        {
          Name: "web",
          Permissions: [
            { Action: "deny", HTTP: { PathPrefix: "/test.v1.Test/", Header: [{ Name: "x-role", Exact: "guest" }] } },
            { Action: "allow", HTTP: { PathRegex: "/test\\.v1\\..*/U(na)?ry", Methods: ["POST"] } },
            { Action: "deny", HTTP: { PathPrefix: "/" } },
          ],
        },
      ]);
      await known(inbound, 1);
      assert.equal(await reasonOf(web), "");
      assert.equal(await reasonOf(web, { "x-role": "guest" }), "AUTHZ_DENIED");
      const explained = inbound.runtime.services.explanations;
      assert.ok(explained !== undefined);
      await eventually(
        () =>
          inbound.calls.some(({ detail }) =>
            String(detail).endsWith("the intention web => up, permission 1 denies it"),
          ),
        () => JSON.stringify(inbound.calls.at(-1)),
      );
      const metrics = await inbound.metrics();
      const decided = (result: string): number =>
        sampleValue(metrics, "outrigger_authorization_decisions_total", { rule: "intention:web", result }) ?? 0;
      assert.deepEqual([decided("allowed"), decided("denied")], [2, 2]);
      assert.equal(seen.length, 4);
    });
  },
);

test(
  "what an agent with ACLs denies by default is denied, and a token that may not read is nobody's permission",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope, { acl: true });
      const { inbound, web } = await pair(scope, consul);
      const refused = await call(web.outbound);
      assert.deepEqual([refused.error?.code, refused.reason], [7, "AUTHZ_DENIED"]);
      await intend(consul, [{ Name: "web", Action: "allow" }]);
      await known(inbound, 1);
      assert.equal(await reasonOf(web), "");
      const policy = {
        Name: "blind",
        Rules: 'service "up" { policy = "write" intentions = "deny" } node_prefix "" { policy = "read" }',
      };
      assert.equal((await consul.request("PUT", "/v1/acl/policy", policy)).status, 200);
      const { body } = await consul.request("PUT", "/v1/acl/token", { Policies: [{ Name: "blind" }] });
      const { SecretID: token } = body as { SecretID: string };
      const application = await echo(scope);
      const blind = await scope.sidecar({
        discovery: { consul: { address: consul.address, token } },
        mtls: { mode: "permissive", source: { consul: {} } },
        service: { name: "up", address: application.address },
        authorization: { intentions: "consul" },
      });
      const { error, reason } = await call(blind.inbound);
      assert.deepEqual([error?.code, reason], [14, "AUTHZ_UNKNOWN"]);
      const state = blind.runtime.ready();
      assert.ok(!state.ready);
      assert.deepEqual(
        state.waiting.map(({ what }) => what),
        ["intentions"],
      );
      assert.match(String(state.waiting[0]?.detail), /nobody may call yet: .*intention/);
    });
  },
);

test(
  "while the agent is away the last intentions stay, and one that forgot them is not believed at once",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      await intend(consul, [{ Name: "web", Action: "deny" }]);
      // Further entries, so that the index of an agent without its memory is a lower one.
      for (let at = 0; at < 20; at++) await consul.request("PUT", `/v1/kv/${at}`, at);
      await intend(consul, [
        { Name: "web", Action: "deny" },
        { Name: "ops", Action: "allow" },
      ]);
      const { inbound, web } = await pair(scope, consul);
      await known(inbound, 2);
      assert.equal(await reasonOf(web), "AUTHZ_DENIED");
      await consul.kill();
      await eventually(
        () => inbound.runtime.intentions.problem !== undefined,
        () => "the outage to be noticed",
      );
      assert.equal(await reasonOf(web), "AUTHZ_DENIED");
      assert.match(JSON.stringify(inbound.runtime.ready()), /the intentions are those of the last answer/);
      await consul.restart().catch(() => undefined);
      await eventually(
        () => /lost its memory/.test(String(inbound.runtime.intentions.problem)),
        () => `the loss to be noticed: ${inbound.runtime.intentions.problem}`,
        20_000,
      );
      assert.equal(await reasonOf(web), "AUTHZ_DENIED");
      inbound.clock.jump(31_000);
      await known(inbound, 0);
      assert.equal(inbound.runtime.intentions.problem, undefined);
    });
  },
);

test(
  "calls under way end when an intention does not let them in any more, where that is wanted",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      await intend(consul, [{ Name: "web", Action: "allow" }]);
      const server = await GrpcServer.start({
        bidi: (stream: ServerDuplexStream<Buffer, Buffer>) => {
          stream.on("data", (message: Buffer) => void stream.write(message));
          stream.on("error", () => undefined);
        },
      });
      scope.onEnd(() => server.stop());
      const { inbound, web } = await pair(scope, consul, { openCalls: "end" }, server.address);
      const client = grpcClient(web.outbound, "up");
      scope.onEnd(() => client.close());
      const { path, requestSerialize, responseDeserialize } = testService.bidi;
      const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
      const ended = new Promise<ServiceError>((resolve) => stream.on("error", resolve));
      await new Promise((resolve) => {
        stream.once("data", resolve);
        stream.write(Buffer.from("hello"));
      });
      const before = inbound.runtime.mtls.credentials;
      await intend(consul, [{ Name: "web", Action: "deny" }]);
      const error = await ended;
      assert.deepEqual([error.code, error.metadata.get("outrigger-reason")], [7, ["AUTHZ_DENIED"]]);
      // Sessions and tickets belong to the credentials that there were.
      assert.notEqual(inbound.runtime.mtls.credentials, before);
    });
  },
);

test(
  "Consul's own proxy as the caller is let in by intentions or not, as its service is",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      await intend(consul, [{ Name: "shop", Action: "deny" }]);
      const { inbound, web } = await pair(scope, consul);
      await known(inbound, 1);
      const port = await freePort();
      await consulProxy(scope, consul, port, "-service=shop", `-upstream=up:127.0.0.1:${port}`);
      // It listens before it knows where to go.
      await eventually(
        async () => (await call(`127.0.0.1:${port}`)).reason === "AUTHZ_DENIED",
        () => "Consul's proxy to reach the sidecar, and be refused",
        20_000,
      );
      assert.equal(await reasonOf(web), "");
      await intend(consul, [
        { Name: "shop", Permissions: [{ Action: "allow", HTTP: { PathExact: "/test.v1.Test/Unary" } }] },
        { Name: "*", Action: "deny" },
      ]);
      await known(inbound, 2);
      assert.equal((await call(`127.0.0.1:${port}`)).error, undefined);
      assert.equal(await reasonOf(web), "AUTHZ_DENIED");
    });
  },
);

test(
  "a service behind Consul's own proxy is called where the same intentions allow it there",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const application = await echo(scope);
      const [Address = "", Port = ""] = application.address.split(":");
      await consul.request("PUT", "/v1/agent/service/register", { Name: "up", Address, Port: Number(Port) });
      const tcp = async (Action: string): Promise<void> => {
        const entry = { Kind: "service-intentions", Name: "up", Sources: [{ Name: "web", Action }] };
        assert.equal((await consul.request("PUT", "/v1/config", entry)).status, 200);
      };
      await tcp("deny");
      const port = await freePort();
      const listen = ["-service=up", `-service-addr=${application.address}`, `-listen=127.0.0.1:${port}`];
      await consulProxy(scope, consul, port, ...listen, "-register");
      const web = await scope.sidecar({
        discovery: { consul: { address: consul.address } },
        mtls: { mode: "strict", source: { consul: {} } },
        identity: { name: "web" },
        upstreams: { up: {} },
      });
      await found(web);
      assert.equal((await call(web.outbound)).error?.code, 14);
      assert.equal(application.seen.length, 0);
      await tcp("allow");
      await eventually(
        async () => (await call(web.outbound)).error === undefined,
        () => "Consul's proxy to let the caller in",
        20_000,
      );
    });
  },
);

test(
  "an intention that wants a token lets in who has one of that provider with the claims, and nobody else",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const issuer = await Issuer.make("one");
      const keys = await KeyServer.start(keySet(issuer));
      scope.onEnd(() => keys.stop());
      const remote = { Remote: { URI: keys.url, FetchAsynchronously: true } };
      const provider = { Kind: "jwt-provider", Name: "accounts", Issuer: ISSUER, JSONWebKeySet: remote };
      assert.equal((await consul.request("PUT", "/v1/config", provider)).status, 200);
      const VerifyClaims = [{ Path: ["perms", "role"], Value: "admin" }];
      await intend(consul, [{ Name: "web", Action: "allow" }], {
        JWT: { Providers: [{ Name: "accounts", VerifyClaims }] },
      });
      const accounts = { issuer: ISSUER, audiences: ["up"], keys: { url: keys.url } };
      const jwt = { providers: { accounts }, rules: [{ need: "optional" }] };
      const { inbound, web } = await pair(scope, consul, {}, undefined, { jwt });
      await known(inbound, 1);
      const by = async (claims: Record<string, unknown>): Promise<string> =>
        await reasonOf(web, { authorization: `Bearer ${await issuer.sign(claims)}` });
      assert.equal(await reasonOf(web), "JWT_MISSING");
      assert.equal(await by({ perms: { role: "guest" } }), "AUTHZ_DENIED");
      assert.equal(await by({ "perms.role": "admin" }), "AUTHZ_DENIED");
      assert.equal(await by({ perms: { role: "admin" } }), "");
      const line = await inbound.call(1);
      assert.match(String(line.detail), /the intention web => up allows it only with a token of accounts$/);
    });
  },
);

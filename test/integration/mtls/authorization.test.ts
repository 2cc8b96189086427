import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type ServerDuplexStream, type ServiceError } from "@grpc/grpc-js";
import { offered } from "../../runtime/offered.ts";
import { idOf } from "../../support/certificates.ts";
import { GrpcServer, grpcClient, testService } from "../../support/grpc-service.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { turnOver } from "./load.ts";
import { call, type MeshOptions, mesh } from "./mesh.ts";

type Rules = NonNullable<MeshOptions["authorization"]>;

const METHOD = "test.v1.Test/Unary";

async function decided(sidecar: Sidecar, rule: string, result: string): Promise<number> {
  return sampleValue(await sidecar.metrics(), "outrigger_authorization_decisions_total", { rule, result }) ?? 0;
}

/** Puts other rules in force at the application's sidecar, by a reload. */
async function reload(sidecar: Sidecar, authorization: Rules | undefined): Promise<void> {
  const { config } = sidecar.runtime;
  const { authorization: read } = offered(sidecar, {
    service: { name: "up", address: "127.0.0.1:1" },
    mtls: { mode: "strict", source: { development: { path: "/nowhere" } } },
    ...(authorization === undefined ? {} : { authorization }),
  });
  assert.equal((await sidecar.runtime.apply({ ...config, authorization: read })).kind, "applied");
}

test("who is allowed by service or by id calls over mTLS; a plaintext caller of the same port has no identity", async () => {
  for (const who of [{ services: ["call*"] }, { identities: ["spiffe://test.mesh/ns/*/dc/*/svc/caller"] }]) {
    await inScope(async (scope) => {
      const { inbound, seen, ...made } = await mesh(scope, {
        inbound: "permissive",
        authorization: { allow: [{ name: "callers", ...who }] },
      });
      assert.equal((await made.call()).error, undefined);
      const refused = await call(inbound.inbound);
      assert.deepEqual([refused.error?.code, refused.reason], [16, "NO_IDENTITY"]);
      // What a caller says of itself is no identity.
      const forged = await call(inbound.inbound, { "x-forwarded-client-cert": `URI=${idOf("caller")}` });
      assert.deepEqual([forged.error?.code, forged.reason], [16, "NO_IDENTITY"]);
      assert.equal(seen.length, 1);
      assert.equal(await decided(inbound, "callers", "allowed"), 1);
      assert.equal(await decided(inbound, "default", "denied"), 2);
    });
  }
});

test("who is denied by id is refused over mTLS, whatever allow says, and the log alone has the rule", async () => {
  await inScope(async (scope) => {
    const { inbound, seen, ...made } = await mesh(scope, {
      authorization: {
        deny: [{ name: "not-caller", identities: [idOf("caller")], methods: [METHOD] }],
        allow: [{ name: "all" }],
      },
    });
    const { error, reason } = await made.call();
    assert.deepEqual([error?.code, reason], [7, "AUTHZ_DENIED"]);
    assert.doesNotMatch(JSON.stringify([error?.details, error?.metadata.getMap()]), /not-caller/);
    assert.equal(seen.length, 0);
    const line = await inbound.call();
    assert.deepEqual([line.reason, line.detail], ["AUTHZ_DENIED", `${idOf("caller")}: the rule not-caller denies it`]);
    assert.equal(await decided(inbound, "not-caller", "denied"), 1);
  });
});

test("methods, metadata and addresses decide in plaintext as well", async () => {
  await inScope(async (scope) => {
    const { inbound } = await mesh(scope, {
      inbound: "disabled",
      outbound: "disabled",
      authorization: {
        allow: [
          { name: "tenant", methods: ["test.v1.Test/*"], metadata: { "x-tenant": "a" }, addresses: ["127.0.0.0/8"] },
          { name: "elsewhere", metadata: { "x-tenant": "b" }, addresses: ["10.0.0.0/8"] },
        ],
      },
    });
    assert.equal((await call(inbound.inbound, { "x-tenant": "a" })).error, undefined);
    assert.equal((await call(inbound.inbound, { "x-tenant": "b" })).reason, "AUTHZ_DENIED");
    assert.equal((await call(inbound.inbound)).reason, "AUTHZ_DENIED");
  });
});

test("in shadow every call passes, and what would be refused is counted", async () => {
  await inScope(async (scope) => {
    const { inbound, seen, ...made } = await mesh(scope, {
      authorization: { mode: "shadow", allow: [{ name: "web", services: ["web"] }] },
    });
    assert.equal((await made.call()).error, undefined);
    assert.equal(seen.length, 1);
    assert.equal(await decided(inbound, "default", "shadowDenied"), 1);
    assert.equal(await decided(inbound, "default", "denied"), 0);
    const told = inbound.lines.find(({ msg }) => String(msg).startsWith("authorization in shadow"));
    assert.deepEqual([told?.rule, told?.identity], ["default", idOf("caller")]);
  });
});

test("a reload holds from the next call on, over the same connection, and the decision is explained", async () => {
  await inScope(async (scope) => {
    const { inbound, ...made } = await mesh(scope, { authorization: { allow: [{ name: "all" }] } });
    assert.equal((await made.call()).error, undefined);
    const [before] = inbound.runtime.listeners.inbound?.acceptor.connections ?? [];
    await reload(inbound, { allow: [{ name: "web", services: ["web"] }] });
    assert.equal((await made.call()).reason, "AUTHZ_DENIED");
    await reload(inbound, { allow: [{ name: "web", services: ["web", "caller"] }] });
    assert.equal((await made.call()).error, undefined);
    await reload(inbound, undefined);
    assert.equal((await made.call()).error, undefined);
    const steps = inbound.runtime.services.explanations.latest(9, true).flatMap(({ id }) => {
      const [found] = inbound.runtime.services.explanations.find(id);
      return found?.steps.filter(({ decision }) => decision === "authorization").map(({ text }) => text) ?? [];
    });
    assert.deepEqual(steps, ["denied by authorization.default"]);
    const [after] = inbound.runtime.listeners.inbound?.acceptor.connections ?? [];
    assert.equal(after, before);
  });
});

test("a session that is resumed gives nothing that the rules of now would not give", async () => {
  await inScope(async (scope) => {
    const { inbound, outbound, ...made } = await mesh(scope, { authorization: { allow: [{ name: "all" }] } });
    assert.equal((await made.call()).error, undefined);
    await reload(inbound, { allow: [{ name: "web", services: ["web"] }] });
    const first = [...outbound.connections()].filter(({ role }) => role === "client");
    turnOver(inbound);
    await eventually(
      () => first.every(({ draining }) => draining),
      () => "the end of the first connection",
    );
    assert.equal((await made.call()).reason, "AUTHZ_DENIED");
    const labels = { direction: "inbound", result: "resumed" };
    assert.equal(sampleValue(await inbound.metrics(), "outrigger_tls_handshakes_total", labels), 1);
  });
});

/** A stream through both sidecars that is open and has been answered once. */
async function openStream(scope: Scope, options: { readonly authorization: Rules }) {
  const application = await GrpcServer.start({
    bidi: (stream: ServerDuplexStream<Buffer, Buffer>) => {
      stream.on("data", (message: Buffer) => stream.write(message));
      stream.on("end", () => stream.end());
    },
  });
  scope.onEnd(() => application.stop());
  const made = await mesh(scope, { ...options, application: application.address });
  const client = grpcClient(made.outbound.outbound, "up");
  scope.onEnd(() => client.close());
  const { path, requestSerialize, responseDeserialize } = testService.bidi;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
  const heard: string[] = [];
  let error: ServiceError | undefined;
  stream.on("data", (message: Buffer) => void heard.push(message.toString()));
  stream.on("error", (failed: ServiceError) => {
    error = failed;
  });
  scope.onEnd(() => stream.cancel());
  const echoed = async (text: string): Promise<void> => {
    stream.write(Buffer.from(text));
    await eventually(
      () => heard.includes(text),
      () => `${text} to come back: ${heard.join()} ${error?.message}`,
    );
  };
  await echoed("one");
  return { ...made, echoed, error: () => error };
}

test("a call under way that changed rules would refuse ends with openCalls: end", async () => {
  await inScope(async (scope) => {
    const { inbound, echoed, error } = await openStream(scope, { authorization: { allow: [{ name: "all" }] } });
    await reload(inbound, { openCalls: "end", allow: [{ name: "caller", services: ["caller"] }] });
    await echoed("two");
    await reload(inbound, { openCalls: "end", allow: [{ name: "web", services: ["web"] }] });
    await eventually(
      () => error() !== undefined,
      () => "the stream's end",
    );
    assert.equal(error()?.code, 7);
    assert.deepEqual(error()?.metadata.get("outrigger-reason"), ["AUTHZ_DENIED"]);
    assert.equal((await inbound.call()).reason, "AUTHZ_DENIED");
    assert.equal(await decided(inbound, "default", "denied"), 1);
  });
});

test("with openCalls: finish it goes on, and only the next one is refused", async () => {
  await inScope(async (scope) => {
    const { inbound, echoed, ...made } = await openStream(scope, { authorization: { allow: [{ name: "all" }] } });
    await reload(inbound, { openCalls: "finish", allow: [{ name: "web", services: ["web"] }] });
    await echoed("two");
    assert.equal((await made.call()).reason, "AUTHZ_DENIED");
    await echoed("three");
  });
});

test("a health check has to be allowed where the default is deny", async () => {
  await inScope(async (scope) => {
    const { inbound } = await mesh(scope, { inbound: "permissive", authorization: {} });
    const asked = async () => {
      const client = grpcClient(inbound.inbound, "up");
      const code = await new Promise<number | undefined>((resolve) => {
        const octets = (value: Buffer): Buffer => value;
        client.makeUnaryRequest(
          "/grpc.health.v1.Health/Check",
          octets,
          octets,
          Buffer.alloc(0),
          { deadline: Date.now() + 10_000 },
          (failed) => resolve(failed?.code),
        );
      });
      client.close();
      return code;
    };
    assert.equal(await asked(), 7);
    await reload(inbound, { allow: [{ name: "probes", methods: ["grpc.health.v1.Health/*"] }] });
    // The application has no such service, and it was the application that said so.
    assert.equal(await asked(), 12);
  });
});

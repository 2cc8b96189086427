import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServerDuplexStream,
  type ServiceError,
} from "@grpc/grpc-js";
import { agent, intend } from "../integration/mtls/mesh.ts";
import { AuthorizationServer } from "../support/authorization-server.ts";
import type { Consul } from "../support/consul.ts";
import { GrpcServer, testService } from "../support/grpc-service.ts";
import { type Family, parseMetrics, sampleValue } from "../support/prometheus.ts";
import { skipUnless } from "../support/real-parts.ts";
import { type SidecarProcess, startSidecarProcess } from "../support/sidecar-process.ts";
import { ISSUER, Issuer, KeyServer, keySet } from "../support/tokens.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

const CLIENTS = 16;

/** The reason of each refusal, "" where a call was answered. */
type Said = readonly string[];

/** Callers who are `web` for Consul, each with a connection, of which the system gives some to every worker. */
async function callers(scope: Scope, consul: Consul, address: string): Promise<Client[]> {
  const pem = async (path: string): Promise<Record<string, unknown>> =>
    (await consul.request("GET", `/v1/agent/connect/ca/${path}`)).body as Record<string, unknown>;
  const [leaf, { Roots: roots }] = await Promise.all([pem("leaf/web"), pem("roots")]);
  const authority = (roots as { RootCert: string }[]).map(({ RootCert }) => RootCert).join("\n");
  const [key, certificate] = [leaf.PrivateKeyPEM, leaf.CertPEM].map((text) => Buffer.from(String(text)));
  // Identities are SPIFFE ids; who these connect to is not what this is about.
  const tls = credentials.createSsl(Buffer.from(authority), key, certificate, { checkServerIdentity: () => undefined });
  const options = {
    "grpc.default_authority": "up",
    "grpc.ssl_target_name_override": "up",
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
  };
  const made = Array.from({ length: CLIENTS }, () => new Client(address, tls, options));
  scope.onEnd(() => {
    for (const client of made) client.close();
  });
  return made;
}

function fieldsOf(fields: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return metadata;
}

function reasonOf(error: ServiceError | null): string {
  if (error === null) return "";
  return error.metadata.get("outrigger-reason")[0]?.toString() ?? `${error.code} ${error.details}`;
}

/** What each of the callers is told. */
function all(from: readonly Client[], fields: Readonly<Record<string, string>> = {}): Promise<Said> {
  const { path, requestSerialize, responseDeserialize } = testService.unary;
  const one = (client: Client): Promise<string> =>
    new Promise((resolve) => {
      const how = { deadline: Date.now() + 20_000 };
      const [metadata, message] = [fieldsOf(fields), Buffer.from("hello")];
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, metadata, how, (error) =>
        resolve(reasonOf(error)),
      );
    });
  return Promise.all(from.map(one));
}

/** Opens a stream for each caller and waits until it is answered; returns how each ends. */
async function open(from: readonly Client[]): Promise<Promise<string>[]> {
  const { path, requestSerialize, responseDeserialize } = testService.bidi;
  const begin = async (client: Client): Promise<{ readonly ended: Promise<string> }> => {
    const stream: ClientDuplexStream<Buffer, Buffer> = client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
    );
    const ended = new Promise<string>((resolve) =>
      stream.on("error", (error: ServiceError) => resolve(reasonOf(error))),
    );
    await new Promise((resolve) => {
      stream.once("data", resolve);
      stream.write(Buffer.from("hello"));
    });
    return { ended };
  };
  return (await Promise.all(from.map(begin))).map(({ ended }) => ended);
}

const everywhere = (reason: string): Said => Array.from({ length: CLIENTS }, () => reason);

async function metrics(sidecar: SidecarProcess): Promise<Map<string, Family>> {
  return parseMetrics(String(await sidecar.admin("/metrics")));
}

async function becomes(
  from: readonly Client[],
  reason: string,
  fields?: Readonly<Record<string, string>>,
): Promise<void> {
  let last: Said = [];
  await eventually(
    async () => {
      last = await all(from, fields);
      return last.every((said) => said === reason);
    },
    () => `"${reason}" from every worker, and not ${JSON.stringify(last)}`,
    30_000,
  );
}

test(
  "rules, intentions, tokens and an authorization service decide alike in every worker, follow changes, and count together",
  skipUnless("consul"),
  async () => {
    await inScope(async (scope) => {
      const consul = await agent(scope);
      const [first, second] = [await Issuer.make("first"), await Issuer.make("second")];
      const keys = await KeyServer.start(keySet(first));
      scope.onEnd(() => keys.stop());
      const service = new AuthorizationServer();
      await service.start();
      scope.onEnd(() => service.stop());
      service.answer = ({ headers }) => ({ code: headers["x-ask"] === "no" ? 7 : 0 });
      const app = await GrpcServer.start({
        unary: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, call.request),
        bidi: (stream: ServerDuplexStream<Buffer, Buffer>) => {
          stream.on("data", (message: Buffer) => void stream.write(message));
          stream.on("error", () => undefined);
        },
      });
      scope.onEnd(() => app.stop());
      await intend(consul, [{ Name: "web", Action: "allow" }]);
      const sidecar = await startSidecarProcess({
        workers: 2,
        discovery: { consul: { address: consul.address } },
        mtls: { mode: "strict", source: { consul: {} } },
        service: { name: "up", address: app.address },
        authorization: {
          intentions: "consul",
          openCalls: "end",
          deny: [{ name: "guests", metadata: { "x-role": "guest" } }],
          external: { address: service.address, timeout: "10s", match: { metadata: { "x-ask": "*" } } },
        },
        jwt: {
          providers: { accounts: { issuer: ISSUER, audiences: ["up"], keys: { url: keys.url } } },
          rules: [{ need: "optional" }],
        },
        log: { access: "none" },
      });
      scope.onEnd(async () => void (await sidecar.process.stop()));
      const from = await callers(scope, consul, sidecar.address("inbound"));
      const bearer = async (issuer: Issuer): Promise<Record<string, string>> => ({
        authorization: `Bearer ${await issuer.sign()}`,
      });
      const [byFirst, bySecond] = [await bearer(first), await bearer(second)];

      assert.deepEqual(await all(from), everywhere(""));
      assert.deepEqual(await all(from, { "x-role": "guest" }), everywhere("AUTHZ_DENIED"));
      assert.deepEqual(await all(from, { "x-ask": "yes" }), everywhere(""));
      assert.deepEqual(await all(from, { "x-ask": "no" }), everywhere("AUTHZ_REFUSED"));
      assert.deepEqual(await all(from, byFirst), everywhere(""));
      assert.deepEqual(await all(from, bySecond), everywhere("JWT_INVALID"));

      // Both had some of them, and what is shown is the sum.
      const { connections } = (await sidecar.admin("/connections")) as { connections: { made: string }[] };
      assert.ok(connections.filter(({ made }) => made === "dialled").length >= 2, JSON.stringify(connections));
      const families = await metrics(sidecar);
      const counted = (name: string, labels: Record<string, string>) => sampleValue(families, name, labels);
      const decisions = (rule: string, result: string) =>
        counted("outrigger_authorization_decisions_total", { rule, result });
      assert.equal(decisions("intention:web", "allowed"), 4 * CLIENTS);
      assert.equal(decisions("guests", "denied"), CLIENTS);
      const asked = (result: string) => counted("outrigger_authorization_service_calls_total", { result });
      assert.deepEqual([asked("allowed"), asked("denied")], [CLIENTS, CLIENTS]);
      const tokens = (result: string) => counted("outrigger_jwt_calls_total", { result });
      assert.deepEqual([tokens("verified"), tokens("invalid")], [CLIENTS, CLIENTS]);
      assert.equal(counted("outrigger_intentions", {}), 1);
      assert.equal(counted("outrigger_jwt_keys", { provider: "accounts" }), 1);
      const page = (await sidecar.admin("/clusters")) as { tokens: { results: object }; intentions: object };
      assert.deepEqual(page.intentions, { count: 1, default: "allow", lastError: null });

      // Another key: each thread fetches it with the first token that it signed, and no longer takes one that is gone.
      keys.text = keySet(second);
      await becomes(from, "", bySecond);
      await becomes(from, "JWT_INVALID", byFirst);
      assert.ok(keys.asked <= 30, `${keys.asked} fetches`);

      // What an intention does not allow any more ends, in every worker.
      const ends = await open(from);
      await intend(consul, [{ Name: "web", Action: "deny" }]);
      assert.deepEqual(await Promise.all(ends), everywhere("AUTHZ_DENIED"));
      await becomes(from, "AUTHZ_DENIED");
      await intend(consul, [{ Name: "web", Action: "allow" }]);
      await becomes(from, "");
    });
  },
);

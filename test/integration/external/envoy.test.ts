import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { type Asked, AuthorizationServer, type Said, type SaidField } from "../../support/authorization-server.ts";
import { GrpcServer } from "../../support/grpc-service.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { callHead, connectPeer, message } from "../../support/raw-call.ts";
import { pairsOf, type RawAnswer } from "../../support/raw-peer.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { inScope, type Scope } from "../../support/with-proxy.ts";
import { envoyWithService } from "./envoy.ts";

/** Every way in which a field can be said to change, of a field that is there and of one that is not. */
const ways: readonly (readonly [name: string, how: Partial<SaidField>])[] = [
  ["plain", {}],
  ["append-false", { append: false }],
  ["append-true", { append: true }],
  ["append-if-exists-or-add", { action: 0 }],
  ["add-if-absent", { action: 1 }],
  ["overwrite-if-exists-or-add", { action: 2 }],
  ["overwrite-if-exists", { action: 3 }],
];
const changes: readonly SaidField[] = ways.flatMap(([name, how]) => [
  { name: `X-${name}-there`, value: "new", ...how },
  { name: `x-${name}-gone`, value: "new", ...how },
]);
const there: readonly (readonly [string, string])[] = ways.map(([name]) => [`x-${name}-there`, "old"]);

const answers: Readonly<Record<string, Said>> = {
  "lets it in": { code: 0 },
  "lets it in and says so in the wrong place": { code: 0, denied: { status: 401 } },
  "lets it in with fields changed, removed, and added to the answer": {
    code: 0,
    ok: {
      fields: [
        ...changes,
        { name: "x-gone", value: "set" },
        { name: "cookie", value: "c=3" },
        { name: "x-b", value: "1" },
        { name: "x-b", value: "2" },
      ],
      removed: ["X-Gone", "x-token", ":path", "host"],
      answer: changes,
    },
  },
  "says no": { code: 7 },
  "says no with a status, a body and fields": {
    code: 16,
    message: "for the log",
    denied: {
      status: 401,
      body: "who are you? 100 % é",
      fields: [...changes, { name: "www-authenticate", value: 'Bearer realm="x"' }],
    },
  },
  "says no with fields of one name": {
    code: 7,
    denied: {
      status: 403,
      fields: [
        { name: "x-a", value: "1" },
        { name: "x-a", value: "2", append: true },
        { name: "x-b", value: "1" },
        { name: "x-b", value: "2" },
      ],
    },
  },
  "says no with 400": { code: 7, denied: { status: 400 } },
  "says no with 404": { code: 7, denied: { status: 404 } },
  "says no with 429": { code: 7, denied: { status: 429 } },
  "says no with 503": { code: 7, denied: { status: 503, body: "later" } },
  "says no with 302": { code: 7, denied: { status: 302, fields: [{ name: "location", value: "http://login.test/" }] } },
  "says no with 200": { code: 7, denied: { status: 200, fields: [{ name: "content-type", value: "text/html" }] } },
  "says no without a status": { code: 7, denied: { body: "because" } },
  "says no with a gRPC status of its own": {
    code: 7,
    denied: {
      status: 403,
      fields: [
        { name: "grpc-status", value: "8" },
        { name: "grpc-message", value: "r%C3%A9sum%C3%A9" },
      ],
    },
  },
  "says no and changes fields all the same": { code: 7, ok: { fields: [{ name: "x-a", value: "1" }] } },
  fails: { error: 13 },
  "is no such service": { error: 12 },
  "talks nonsense": { octets: Buffer.from([255, 255, 255]) },
};

/** Told to callers by Envoy alone, or by this sidecar alone. */
const own = /^(date|server|x-envoy-.*|outrigger-.*|user-agent|x-forwarded-proto|x-request-id)$/;

interface World {
  readonly service: AuthorizationServer;
  readonly seen: Metadata[];
  /** The application's address. */
  readonly application: string;
}

async function world(scope: Scope): Promise<World> {
  const seen: Metadata[] = [];
  const application = await GrpcServer.start({
    unary: (
      call: { metadata: Metadata; request: Buffer; sendMetadata(fields: Metadata): void },
      done: (error: ServiceError | null, answer: Buffer) => void,
    ) => {
      seen.push(call.metadata);
      const fields = new Metadata();
      for (const [name, value] of there) fields.set(name, value);
      call.sendMetadata(fields);
      done(null, call.request);
    },
  });
  scope.onEnd(() => application.stop());
  const service = new AuthorizationServer();
  await service.start();
  scope.onEnd(() => service.stop());
  return { service, seen, application: application.address };
}

interface Result {
  /** The caller's answer. */
  readonly head: readonly string[];
  readonly trailers: readonly string[];
  /** What the application got; undefined where it got nothing. */
  readonly seen: readonly string[] | undefined;
}

/** Fields as a set: each name with its values, in whatever lines they came. */
function fieldsOf(pairs: Iterable<readonly [string, string]>): readonly string[] {
  const values = new Map<string, string[]>();
  for (const [name, value] of pairs)
    if (!own.test(name)) values.set(name, [...(values.get(name) ?? []), ...value.split(/, ?/)]);
  return [...values].map(([name, all]) => `${name}: ${all.sort().join(", ")}`).sort();
}

function answerFields(fields: RawAnswer["trailers"]): readonly string[] {
  const pairs = pairsOf(fields ?? []);
  // A denial without words of the service has some of ours here, and none with Envoy.
  const isDenied = pairs.some(([name]) => name === "outrigger-reason");
  const bare = isDenied
    ? pairs.filter(([name, value]) => name !== "grpc-message" || !value.startsWith("the auth"))
    : pairs;
  return fieldsOf(bare);
}

const head: PlainField[] = callHead(
  "up",
  ...there,
  ["x-gone", "1"],
  ["x-token", "secret"],
  ["x-two", "1"],
  ["x-two", "2"],
  ["cookie", "a=1"],
  ["cookie", "b=2"],
  ["x-empty", ""],
).map(([name, value]) => [name, name === ":path" ? "/test.v1.Test/Unary" : value]);

async function callThrough(scope: Scope, address: string, { seen }: World, ...more: PlainField[]): Promise<Result> {
  const before = seen.length;
  const peer = await connectPeer(scope, address);
  const stream = peer.request([...head, ...more], false);
  peer.data(stream, message("hello"), true);
  const answer = await peer.answer(stream);
  const told = seen[before];
  return {
    head: answerFields(answer.head),
    trailers: answerFields(answer.trailers),
    seen: told && fieldsOf(Object.entries(told.getMap()).map(([name, value]) => [name, String(value)])),
  };
}

test(
  "callers and the application get through this sidecar what they get through Envoy",
  skipUnless("envoy"),
  async () => {
    await inScope(async (scope) => {
      const made = await world(scope);
      const { service, application } = made;
      const sidecar = await scope.sidecar({
        service: { name: "up", address: application },
        authorization: { default: "allow", external: { address: service.address, timeout: "10s" } },
      });
      const envoy = await envoyWithService(scope, application, service.address, { timeout: "10s" });
      for (const [title, said] of Object.entries(answers)) {
        service.answer = () => said;
        const theirs = await callThrough(scope, envoy, made);
        const ours = await callThrough(scope, sidecar.inbound, made);
        assert.deepEqual(ours, theirs, `the service ${title}`);
      }
      assert.equal(service.asked.length, 2 * Object.keys(answers).length);
    });
  },
);

test("the service is told by this sidecar what Envoy tells it", skipUnless("envoy"), async () => {
  await inScope(async (scope) => {
    const made = await world(scope);
    const { service, application } = made;
    const sidecar = await scope.sidecar({
      service: { name: "up", address: application },
      authorization: {
        default: "allow",
        external: { address: service.address, timeout: "10s", context: { place: "here" } },
      },
    });
    const envoy = await envoyWithService(scope, application, service.address, { timeout: "10s" });
    service.answer = () => ({ code: 7 });
    // UTF-8, and what is none.
    const octets: PlainField[] = [
      ["x-text", "\u00c3\u00a9"],
      ["x-octets", "a\u00e9\u00ffb"],
    ];
    await callThrough(scope, envoy, made, ...octets);
    await callThrough(scope, sidecar.inbound, made, ...octets);
    const [theirs, ours] = service.asked;
    assert.ok(theirs !== undefined && ours !== undefined);
    assert.deepEqual(comparable(ours), comparable(theirs));
    assert.equal(theirs.destination.address, envoy);
    assert.equal(ours.destination.address, sidecar.inbound);
    for (const { source, time } of [theirs, ours]) {
      assert.match(source.address, /^127\.0\.0\.1:\d+$/);
      assert.ok(Math.abs(Date.now() - time) < 60_000, `the call came at ${time}`);
    }
    // Where Envoy says nothing, this sidecar says what it knows: it is the sidecar of `up`, and the size is not known.
    assert.deepEqual([theirs.destination.service, theirs.size], ["", 0]);
    assert.deepEqual([ours.destination.service, ours.size], ["up", -1]);
    assert.match(ours.id, /^[0-9a-z]+-\d+$/);
  });
});

/** Without what differs from proxy to proxy and from call to call. */
function comparable({ method, headers, path, host, scheme, protocol, context, source, sni }: Asked): object {
  const kept = Object.entries(headers).filter(([name]) => !own.test(name));
  const { service, principal } = source;
  const told = { method, path, host, scheme, protocol, context, service, principal, sni };
  return { ...told, headers: Object.fromEntries(kept) };
}

for (const onFailure of ["deny", "allow"] as const)
  test(
    `a service that is down or does not answer in time: ${onFailure}, as Envoy has it`,
    skipUnless("envoy"),
    async () => {
      await inScope(async (scope) => {
        const made = await world(scope);
        const { service, application } = made;
        const sidecar = await scope.sidecar({
          service: { name: "up", address: application },
          authorization: { default: "allow", external: { address: service.address, timeout: "100ms", onFailure } },
        });
        const filter = { timeout: "0.1s", failure_mode_allow: onFailure === "allow" };
        const envoy = await envoyWithService(scope, application, service.address, filter);
        const both = async (what: string): Promise<void> => {
          const theirs = await callThrough(scope, envoy, made);
          assert.deepEqual(await callThrough(scope, sidecar.inbound, made), theirs, what);
          assert.equal(theirs.seen !== undefined, onFailure === "allow", what);
        };
        service.answer = () => "nothing";
        await both("no answer");
        assert.equal(service.asked.length, 2);
        service.stop();
        await both("nobody there");
      });
    },
  );

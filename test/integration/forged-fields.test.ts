import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect as connectHttp2, createServer, type ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { AuthorizationServer } from "../support/authorization-server.ts";
import { idOf } from "../support/certificates.ts";
import { connectTo, echoFrames, httpServer, type Mode, readAll, socketMesh } from "../support/socket-mesh.ts";
import { ISSUER, Issuer, KeyServer, keySet } from "../support/tokens.ts";
import { inScope, type Scope } from "../support/with-proxy.ts";

const ADMIN = `By=${idOf("up")};URI=${idOf("admin")}`;

/** What a caller writes to be taken for somebody else, in its head and behind its body. */
const FORGED = [
  `X-Forwarded-Client-Cert: ${ADMIN}`,
  `x-forwarded-client-cert: ${ADMIN}`,
  `x_forwarded_client_cert: ${ADMIN}`,
  `X_Forwarded-Client_Cert: ${ADMIN}`,
  "x_forwarded_for: 192.0.2.7",
  "x-forwarded-for: 192.0.2.7",
  "X-Forwarded-For: 192.0.2.8",
  "forwarded: for=192.0.2.7",
  "outrigger-reason: LOOP",
  "X-User: root",
  "x_user: root",
  "x-role: admin",
  "X_Role: admin",
];
const NAMES = /^(x[-_]forwarded[-_].*|forwarded|outrigger-reason|host|x[-_](user|role))$/;

/** A sidecar that tells the claim of a token by `x-user`, and leaves `x-role` to a service. */
async function telling(scope: Scope): Promise<object> {
  const keys = await KeyServer.start(keySet(await Issuer.make("one")));
  scope.onEnd(() => keys.stop());
  const service = new AuthorizationServer();
  await service.start();
  scope.onEnd(() => service.stop());
  const accounts = { issuer: ISSUER, audiences: ["up"], keys: { url: keys.url }, claims: { "x-user": "sub" } };
  return {
    jwt: { providers: { accounts }, rules: [{ need: "optional" }] },
    authorization: { default: "allow", external: { address: service.address, timeout: "10s", reserved: ["x-role"] } },
  };
}

/** The fields by which the application may have taken a caller for somebody, in the head and in the trailers. */
function told({ rawHeaders, rawTrailers }: Pick<IncomingMessage, "rawHeaders" | "rawTrailers">): string[] {
  const all = [...rawHeaders, ...rawTrailers];
  return all.flatMap((name, at) => (at % 2 === 0 && NAMES.test(name.toLowerCase()) ? [`${name}: ${all[at + 1]}`] : []));
}

/** Makes two sidecars before an application of HTTP/1.1 that tells what it was told. */
async function asked(mode: Mode, through: "both" | "inbound", request: (host: string) => string): Promise<string[]> {
  let seen: string[] = [];
  await inScope(async (scope) => {
    const app = await httpServer(scope, (incoming, response) => {
      incoming.resume().once("end", () => {
        seen = told(incoming);
        response.end("ok");
      });
    });
    app.server.on("upgrade", (incoming, socket) => {
      seen = told(incoming);
      echoFrames(incoming, socket);
      socket.on("end", () => socket.end());
    });
    const inbound = await telling(scope);
    const made = await socketMesh(scope, { protocol: "http1", applications: [app.address], mode, inbound });
    const socket = await connectTo(scope, through === "both" ? made.address : made.inbound.inbound);
    const isUpgrade = request("up").includes("Upgrade");
    socket.write(request("up"));
    if (isUpgrade) await once(socket, "data");
    else assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 200 /);
    socket.destroy();
  });
  return seen;
}

const request = (host: string): string =>
  [
    "POST / HTTP/1.1",
    `Host: ${host}`,
    // What is of one hop only is gone before the sidecar says who calls.
    "Connection: close, x-forwarded-client-cert, x-forwarded-for",
    ...FORGED,
    "Transfer-Encoding: chunked",
    "",
    "1",
    "a",
    "0",
    ...FORGED,
    "host: other",
    "",
    "",
  ].join("\r\n");

const upgrade = (host: string): string =>
  [
    "GET / HTTP/1.1",
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ...FORGED,
    "",
    "",
  ].join("\r\n");

/** Of a caller that has proven who it is the sidecar says so, and nobody else says it. */
function onlyCaller(fields: readonly string[]): void {
  const [certificate, ...more] = fields.filter((field) => /client/i.test(field));
  assert.match(`${certificate}`, /^x-forwarded-client-cert: By=[^,]*;URI=spiffe:[^,]*\/svc\/caller$/);
  assert.deepEqual(more, []);
}

test("over HTTP/1.1 no field of a caller, however it is written, and no trailer says who calls", async () => {
  onlyCaller(await asked("strict", "both", request));
  // A stranger's own address takes the place of what it says.
  assert.deepEqual((await asked("disabled", "inbound", request)).sort(), ["host: up"]);
  const plain = request("up").replace(", x-forwarded-client-cert, x-forwarded-for", "");
  const strangers = (await asked("permissive", "inbound", () => plain)).sort();
  assert.deepEqual(strangers, ["host: up", "x-forwarded-for: 127.0.0.1"]);
});

test("nor of the request that becomes a WebSocket", async () => {
  onlyCaller(await asked("strict", "both", upgrade));
  assert.deepEqual((await asked("permissive", "inbound", upgrade)).sort(), ["host: up", "x-forwarded-for: 127.0.0.1"]);
});

test("over HTTP/2 no trailer says who calls", async () => {
  await inScope(async (scope) => {
    const trailers: string[] = [];
    const server = createServer();
    server.on("stream", (stream: ServerHttp2Stream) => {
      stream.on("trailers", (fields) => trailers.push(...Object.keys(fields)));
      stream.on("end", () => {
        stream.respond({ ":status": 200 });
        stream.end("ok");
      });
      stream.resume();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    scope.onEnd(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { inbound } = await socketMesh(scope, {
      protocol: "http2",
      applications: [`127.0.0.1:${port}`],
      inbound: await telling(scope),
    });
    const client = connectHttp2(`http://${inbound.inbound}`);
    scope.onEnd(() => client.destroy());
    const stream = client.request({ ":path": "/", ":method": "POST" }, { waitForTrailers: true });
    stream.on("wantTrailers", () =>
      stream.sendTrailers({
        "x-forwarded-client-cert": ADMIN,
        x_forwarded_client_cert: ADMIN,
        "x-forwarded-for": "192.0.2.7",
        authorization: "Bearer forged",
        "x-user": "root",
        x_role: "admin",
        "x-checksum": "1",
      }),
    );
    stream.end("a");
    stream.resume();
    await once(stream, "end");
    assert.deepEqual(trailers, ["x-checksum"]);
  });
});

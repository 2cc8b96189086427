import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { idOf, TestCa } from "../../support/certificates.ts";
import type { Consul } from "../../support/consul.ts";
import { freePort } from "../../support/ports.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { ask, closed, connectTo, httpServer, tcpServer } from "../../support/socket-mesh.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { consulProxy } from "./consul-proxy.ts";
import { type EnvoyTls, startEnvoy } from "./envoy.ts";
import { agent, filesOf, found } from "./mesh.ts";

// Other proxies than ours, which know none of the names by which sidecars ask each other for HTTP/1.1 and TCP.

const GREETING = "220 at your service\r\n";

/** An application of one protocol, and how one sees that it is reached. */
interface Application {
  readonly protocol: "http1" | "tcp";
  readonly address: string;
  /** Calls it through an address; throws unless all passed that should have. */
  check(address: string): Promise<void>;
  /** What it was told of its last caller; undefined over TCP. */
  caller(): string | undefined;
}

/** What does not come in this time does not come. */
function soon(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(10_000) };
}

/** What a connection says next; rejects where that is nothing. */
async function heard(socket: Socket): Promise<unknown[]> {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  return await once(socket, "data", { signal: AbortSignal.any([gone.signal, soon().signal]) });
}

/** Calls an application through a proxy of Consul's, which takes nobody before it has its authorities. */
async function reach(application: Application, address: string): Promise<void> {
  let problem: unknown;
  await eventually(
    async () => {
      problem = await application.check(address).catch((error: unknown) => error);
      return problem === undefined;
    },
    () => `an answer through consul's proxy: ${String(problem)}`,
    30_000,
  );
}

async function http1Application(scope: Scope): Promise<Application> {
  let told: string | undefined;
  const { address } = await httpServer(scope, (request, response) => {
    told = request.headers["x-forwarded-client-cert"]?.toString();
    response.setHeader("x-method", request.method ?? "");
    request.pipe(response);
  });
  return {
    protocol: "http1",
    address,
    check: async (through) => {
      const headers = { host: "up", "x-forwarded-client-cert": `URI=${idOf("admin")}` };
      const answer = await ask(through, { method: "POST", headers, ...soon() }, "hello");
      assert.deepEqual([answer.status, answer.body, answer.headers["x-method"]], [200, "hello", "POST"]);
      assert.equal((await ask(through, { headers, ...soon() })).status, 200);
    },
    caller: () => told,
  };
}

/** It speaks first, as mail servers and databases do. */
async function tcpApplication(scope: Scope): Promise<Application> {
  const { address } = await tcpServer(scope, (socket) => {
    socket.write(GREETING);
    socket.pipe(socket);
  });
  return {
    protocol: "tcp",
    address,
    check: async (through) => {
      const socket = await connectTo(scope, through);
      socket.once("end", () => socket.destroy(new Error("it was ended")));
      const [greeting] = (await heard(socket)) as [Buffer];
      assert.equal(greeting.toString(), GREETING);
      // Consul's proxy ends both ways as soon as one ends.
      socket.write("hello");
      assert.equal(String((await heard(socket))[0]), "hello");
      socket.destroy();
    },
    caller: () => undefined,
  };
}

const applications = [http1Application, tcpApplication];
const mtls = { mode: "strict", source: { consul: {} } };

async function behindConsul(scope: Scope, consul: Consul, { address, protocol }: Application): Promise<Sidecar> {
  const inbound = await scope.sidecar({
    discovery: { consul: { address: consul.address } },
    mtls,
    service: { name: "up", address, protocol },
  });
  await eventually(
    async () => JSON.stringify((await consul.request("GET", "/v1/health/connect/up?passing")).body) !== "[]",
    () => "the sidecar to be found",
  );
  return inbound;
}

test(
  "Consul's own proxy calls strict services of HTTP/1.1 and TCP, which know whose proxy it is",
  skipUnless("consul"),
  async () => {
    for (const make of applications)
      await inScope(async (scope) => {
        const consul = await agent(scope);
        const application = await make(scope);
        const inbound = await behindConsul(scope, consul, application);
        const port = await freePort();
        await consulProxy(scope, consul, port, "-service=web", `-upstream=up:127.0.0.1:${port}`);
        await reach(application, `127.0.0.1:${port}`);
        assert.equal((await inbound.call()).peer_service, "web");
        if (application.protocol === "http1")
          assert.match(`${application.caller()}`, /^By=[^,]*;URI=spiffe:.*\/svc\/web$/);
      });
  },
);

test(
  "a strict sidecar calls services of HTTP/1.1 and TCP behind Consul's own proxy, and takes them for no others",
  skipUnless("consul"),
  async () => {
    for (const make of applications)
      await inScope(async (scope) => {
        const consul = await agent(scope);
        const application = await make(scope);
        const { address, protocol } = application;
        const Port = Number(address.split(":")[1]);
        await consul.request("PUT", "/v1/agent/service/register", { Name: "up", Port, Address: "127.0.0.1" });
        const port = await freePort();
        const listen = ["-service=up", `-service-addr=${address}`, `-listen=127.0.0.1:${port}`];
        await consulProxy(scope, consul, port, ...listen, "-register");
        const own = { protocol, listen: "127.0.0.1:0" };
        const outbound = await scope.sidecar({
          discovery: { consul: { address: consul.address } },
          mtls,
          identity: { name: "caller" },
          upstreams: { up: own, other: { ...own, discovery: "static", endpoints: [`127.0.0.1:${port}`] } },
        });
        await found(outbound);
        await reach(application, outbound.listen("up"));
        await closed(await connectAndSay(scope, outbound.listen("other")));
        await eventually(
          () => outbound.calls.some(({ reason }) => reason === "TLS_WRONG_IDENTITY"),
          () => `a refusal: ${JSON.stringify(outbound.calls)}`,
          20_000,
        );
      });
  },
);

/** Whatever is at the address closes the connection, now or with its answer. */
async function connectAndSay(scope: Scope, address: string): Promise<Socket> {
  const socket = await connectTo(scope, address);
  socket.once("end", () => socket.end());
  socket.write("GET / HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n");
  return socket;
}

/** What Envoys say by ALPN of what they pass on. */
const said = { http1: [[], ["h2", "http/1.1"]], tcp: [[]] } as const;

test(
  "an Envoy calls strict services of HTTP/1.1 and TCP by mTLS, whatever it says of what it speaks",
  skipUnless("envoy"),
  async () => {
    for (const make of applications)
      await inScope(async (scope) => {
        const ca = await TestCa.make();
        const application = await make(scope);
        const { address, protocol } = application;
        const { files } = await filesOf(scope, ca, "up");
        const inbound = await scope.sidecar({
          service: { name: "up", address, protocol },
          mtls: { mode: "strict", source: { files } },
        });
        for (const alpn of [...said[protocol], ["h2"]]) {
          const tls: EnvoyTls = { own: await ca.issue("web"), authority: ca.pem, peer: idOf("up"), protocol, alpn };
          await application.check(await startEnvoy(scope, "upstream", inbound.inbound, tls));
          if (protocol === "http1") assert.match(`${application.caller()}`, /^By=[^,]*;URI=spiffe:.*\/svc\/web$/);
        }
        assert.ok(inbound.calls.length > 0 && inbound.calls.every(({ peer_service }) => peer_service === "web"));
        const stranger = { own: await (await TestCa.make()).issue("web"), authority: ca.pem, peer: idOf("up") };
        const through = await startEnvoy(scope, "upstream", inbound.inbound, { ...stranger, protocol, alpn: [] });
        const before = inbound.calls.length;
        await closed(await connectAndSay(scope, through));
        assert.equal(inbound.calls.length, before);
      });
  },
);

test(
  "a strict sidecar calls services of HTTP/1.1 and TCP behind an Envoy by mTLS; one that does not take its certificate is named",
  skipUnless("envoy"),
  async () => {
    for (const make of applications)
      await inScope(async (scope) => {
        const ca = await TestCa.make();
        const application = await make(scope);
        const { address, protocol } = application;
        const { files } = await filesOf(scope, ca, "caller");
        const tls = { own: await ca.issue("up"), authority: ca.pem, peer: idOf("caller"), protocol };
        const envoys: string[] = [];
        for (const alpn of said[protocol])
          envoys.push(await startEnvoy(scope, "downstream", address, { ...tls, alpn }));
        const picky = await startEnvoy(scope, "downstream", address, { ...tls, peer: idOf("nobody"), alpn: [] });
        const upstream = (endpoint: string) => ({
          protocol,
          listen: "127.0.0.1:0",
          discovery: "static",
          endpoints: [endpoint],
          identity: idOf("up"),
        });
        const outbound = await scope.sidecar({
          identity: { name: "caller" },
          mtls: { mode: "strict", source: { files } },
          upstreams: {
            ...Object.fromEntries(envoys.map((envoy, at) => [`up-${at}`, upstream(envoy)])),
            picky: upstream(picky),
          },
        });
        for (const at of envoys.keys()) await application.check(outbound.listen(`up-${at}`));
        await closed(await connectAndSay(scope, outbound.listen("picky")));
        await eventually(
          () => outbound.calls.some(({ reason }) => reason === "TLS_REFUSED"),
          () => `a refusal: ${JSON.stringify(outbound.calls)}`,
          20_000,
        );
      });
  },
);

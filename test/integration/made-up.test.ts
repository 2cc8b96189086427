import assert from "node:assert/strict";
import { Agent, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { TestCa } from "../support/certificates.ts";
import { EngineClient, EngineServer } from "../support/engine-peer.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead } from "../support/raw-call.ts";
import { marked } from "../support/reachable.ts";
import { forged, ISSUER, Issuer, KeyServer, keySet } from "../support/tokens.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";
import { filesOf, folder } from "./mtls/mesh.ts";

/** In every text that a caller makes up. */
const MARK = "zq7f";
const CALLS = 1000;
const IDENTITIES = 20;

/** Texts of callers, half of them as long as they may be. */
function* madeUp(from: number, tokens: readonly string[], calls: number): IterableIterator<PlainField[]> {
  for (let at = from; at < from + calls; at++) {
    const isLong = at % 2 === 0;
    const long = isLong ? "x".repeat(6000) : "";
    const token = tokens[at % tokens.length] ?? "";
    yield [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", `/${MARK}.s${at}/m${long}`],
      [":authority", at % 3 === 0 ? `${MARK}-${at}.example` : at % 3 === 1 ? `${MARK}-${at}` : "peer"],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["x-user", `${MARK}${at}${long}`],
      [`x-${MARK}-${at}`, "value"],
      ["x-request-id", `${MARK}${at}${long}`],
      ["cookie", `visit=${MARK}${at}${long}`],
      ["traceparent", `00-${String(at).padStart(32, "1")}-${String(at).padStart(16, "1")}-01`],
      ["tracestate", `${MARK}=${at}`],
      ["baggage", `${MARK}=${long}`],
      ["grpc-timeout", "20S"],
      ...(at % 5 === 0 ? [["authorization", `Bearer ${token}${at % 10 === 0 ? long : ""}`] as const] : []),
    ];
  }
}

async function everything(scope: Scope): Promise<{ sidecar: Sidecar; issuer: Issuer; ca: TestCa }> {
  const app = await EngineServer.start(() => [...answerHead, ["grpc-status", "0"]]);
  scope.onEnd(() => app.stop());
  const issuer = await Issuer.make("one");
  const keys = await KeyServer.start(keySet(issuer));
  scope.onEnd(() => keys.stop());
  const ca = await TestCa.make();
  const { files } = await filesOf(scope, ca, "up");
  const perMethod = { per: "method", initial: 900, min: 900, max: 1000 };
  const sidecar = await scope.sidecar({
    discovery: { directory: { path: await folder(scope) } },
    service: { name: "up", address: app.address, adaptiveConcurrency: perMethod },
    upstreams: {
      peer: {
        discovery: "static",
        endpoints: [app.address],
        balancer: "ringHash",
        hash: { by: "metadata", name: "x-user" },
        affinity: { cookie: "visit" },
        adaptiveConcurrency: perMethod,
        circuitBreaker: { failureRate: "50%", minimumRequests: 20, openFor: "1s", scope: "method" },
        retry: { attempts: 2, idempotentMethods: ["other.Service/*"] },
      },
    },
    mtls: { mode: "permissive", source: { files } },
    rateLimits: [
      { name: "who", key: ["identity"], limit: "10000/s", maxKeys: 100 },
      { name: "in", key: ["metadata.x-user", "method"], limit: "10000/s", maxKeys: 200 },
      { name: "out", direction: "outbound", key: ["metadata.x-user"], limit: "10000/s", maxKeys: 200 },
    ],
    authorization: {
      default: "allow",
      deny: [{ name: "tried", mode: "shadow", addresses: ["127.0.0.0/8"] }],
    },
    jwt: {
      providers: {
        accounts: { issuer: ISSUER, audiences: ["up"], keys: { url: keys.url }, claims: { "x-sub": "sub" } },
      },
      rules: [{ need: "optional" }],
    },
    deadlines: { refuseHopeless: "onRequest" },
    explain: { calls: 256 },
    log: { level: "trace" },
  });
  await eventually(
    () =>
      sidecar.runtime.tokenKeys.waiting === undefined &&
      [...sidecar.runtime.tokenKeys.all()][0]?.[1].keys?.length === 1,
    () => "the keys",
  );
  return { sidecar, issuer, ca };
}

/** Octets of what callers have made up that the sidecar holds, by where. */
function held(sidecar: Sidecar): { readonly all: number; readonly places: Map<string, number>; readonly text: string } {
  const places = [...marked(sidecar.runtime, MARK)].sort(([, a], [, b]) => b.octets - a.octets);
  return {
    all: places.reduce((sum, [, { octets }]) => sum + octets, 0),
    places: new Map(places.map(([place, { count }]) => [place, count])),
    text: places.map(([place, { octets, count }]) => `${place}: ${count}, ${octets} octets`).join("\n"),
  };
}

/** Asserts that what people and machines read of the sidecar is bounded, too. */
async function isReadable(sidecar: Sidecar): Promise<number> {
  const longest = sidecar.lines.map((line) => JSON.stringify(line)).reduce((a, b) => (a.length > b.length ? a : b), "");
  assert.ok(longest.length < 6000, `a line of the log has ${longest.length} characters: ${longest.slice(0, 200)}`);
  const families = [...(await sidecar.metrics()).values()];
  const labels = families.flatMap(({ samples }) => samples.flatMap(({ labels: all }) => Object.values(all)));
  const made = new Set(labels.filter((label) => label.includes(MARK)));
  assert.ok(
    [...made].every((label) => label.length <= 257),
    "a label is as long as a method may be",
  );
  return made.size;
}

test("whatever callers make up fills no cache, no series and no line of the log beyond its bound", async (t) => {
  await inScope(async (scope) => {
    const { sidecar, issuer, ca } = await everything(scope);
    const good = await Promise.all(
      Array.from({ length: 50 }, (_, at) => issuer.sign({ sub: `${MARK}${at}`, name: `${MARK}${"y".repeat(2000)}` })),
    );
    const bad = Array.from({ length: 250 }, (_, at) =>
      forged({ alg: "ES256", kid: `${MARK}${at}` }, { iss: ISSUER, at }),
    );
    const tokens = [...good, ...bad];
    const flood = async (from: number): Promise<void> => {
      for (const address of [sidecar.inbound, sidecar.outbound]) {
        const client = await EngineClient.connect(address);
        await client.flood(madeUp(from, tokens, CALLS), 50, () => {});
        client.close();
      }
      for (let at = from; at < from + IDENTITIES; at++) {
        const { certificate: cert, key } = await ca.issue(`${MARK}-${at}`);
        const client = await EngineClient.connect(sidecar.inbound, {
          ca: ca.pem,
          servername: `${MARK}-${at}.example`,
          ...(at % 2 === 0 ? { cert, key } : {}),
        });
        // Who shows no certificate is turned away.
        await client.flood(madeUp(from + at, tokens, 3), 1, () => {}).catch(() => {});
        client.close();
      }
      await sidecar.rest();
    };
    await flood(0);
    const first = held(sidecar);
    t.diagnostic(first.text);
    const series = await isReadable(sidecar);
    // Methods with a label; breakers and learned limits of methods, for each direction; names that were looked up.
    assert.ok(series <= 500 + 3 * 200 + 200, `${series} labels`);
    await flood(CALLS);
    const second = held(sidecar);
    await isReadable(sidecar);
    for (const [place, bound] of bounds)
      assert.ok((second.places.get(place) ?? 0) <= bound, `${place}: ${second.places.get(place)}, and not ${bound}`);
    assert.ok(second.all < 1_000_000, `${second.all} octets are held:\n${second.text}`);
    assert.ok(second.all < first.all * 1.3, `${first.all} octets became ${second.all}:\n${second.text}`);
  });
});

/** Where what callers make up is found, and how many of them at most; with what is documented in docs/limits.md. */
const bounds: readonly (readonly [place: string, most: number])[] = [
  ["MethodSeries.labels.method", 500],
  ["HopelessCalls.methods (keys)", 500],
  ["ConcurrencyLimit.byMethod (keys)", 2 * 200],
  ["Breakers.byMethod (keys)", 200],
  ["KeyTable.entries (keys)", 2 * 200 + 100],
  ["Call.path", 256],
  ["HeaderTable.names (keys)", 512],
  ["RouteTable.known.authority", 1024],
  ["OnDemand.entries (keys)", 200],
];

test("paths and fields of HTTP/1.1 are remembered no longer than those of HTTP/2", async () => {
  await inScope(async (scope) => {
    const app = createServer((_request, response) => response.end("ok"));
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    scope.onEnd(() => {
      app.closeAllConnections();
      app.close();
    });
    const { port } = app.address() as AddressInfo;
    const sidecar = await scope.sidecar({
      discovery: { directory: { path: await folder(scope) } },
      service: {
        name: "shop",
        address: `127.0.0.1:${port}`,
        protocol: "http1",
        adaptiveConcurrency: { per: "method" },
      },
      rateLimits: [{ name: "in", key: ["metadata.x-user"], limit: "10000/s", maxKeys: 100 }],
      explain: { calls: 64 },
      log: { level: "trace" },
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    scope.onEnd(() => agent.destroy());
    const flood = async (from: number): Promise<void> => {
      for (let at = from; at < from + 300; at++) {
        const long = at % 2 === 0 ? "x".repeat(6000) : "";
        const headers = { host: `${MARK}-${at}.example`, "x-user": `${MARK}${at}${long}`, [`x-${MARK}-${at}`]: "1" };
        await new Promise<void>((resolve, reject) => {
          const [host, number] = sidecar.inbound.split(":");
          const path = `/${MARK}/${at}${long}?${MARK}=${long}`;
          get({ host, port: Number(number), path, headers, agent }, (answer) => answer.resume().on("end", resolve)).on(
            "error",
            reject,
          );
        });
      }
      await sidecar.rest();
    };
    await flood(0);
    await flood(300);
    assert.ok((await isReadable(sidecar)) <= 500);
    // What stands in a query is for the application alone.
    const { explanations } = sidecar.runtime.services;
    const told = JSON.stringify([sidecar.lines, explanations.latest(10, false)]);
    assert.ok(told.includes(`/${MARK}/`) && !told.includes(`?${MARK}`));
    const { all, text } = held(sidecar);
    assert.ok(all < 200_000, `${all} octets are held:\n${text}`);
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { freePort } from "../support/ports.ts";
import { Application, call, type Kind, kinds, type Said } from "../support/socket-kinds.ts";
import { socketMesh } from "../support/socket-mesh.ts";
import { codeOf, http2Client, http2Server, openWebSocket } from "../support/websocket-http2.ts";
import {
  eventually,
  inScope,
  type Scope,
  type Sidecar,
  type SidecarConfig,
  wholeConfig,
} from "../support/with-proxy.ts";

// Each field of the table in docs/protocols.md that says which policies hold for which protocol: one that says "yes" has a case here, or a
// row of the table in socket-table.test.ts; where it says "no" the configuration is refused.

const TRACE = "0af7651916cd43dd8448eb211c80319c";
/** A caller's sidecar with upstreams `up` and `second`, straight to applications. */
interface World {
  readonly sidecar: Sidecar;
  /** Calls `up`. */
  readonly call: (headers?: Readonly<Record<string, string>>, path?: string) => Promise<Said>;
  readonly states: () => readonly string[];
}

const protocolOf = (kind: Kind): "tcp" | "http1" => (kind === "TCP" ? "tcp" : "http1");

async function world(
  scope: Scope,
  kind: Kind,
  endpoints: readonly string[],
  upstream: object,
  more: Partial<SidecarConfig> & { readonly second?: readonly string[] } = {},
): Promise<World> {
  const { second, ...config } = more;
  const same = { protocol: protocolOf(kind), discovery: "static", listen: "127.0.0.1:0" };
  const sidecar = await scope.sidecar({
    ...config,
    upstreams: {
      up: { ...same, endpoints, balancer: "roundRobin", ...upstream },
      ...(second === undefined ? {} : { second: { ...same, endpoints: second } }),
    },
  });
  const cluster = [...sidecar.runtime.upstreams.clusters()].find(({ name }) => name === "up");
  return {
    sidecar,
    call: (headers, path) => call(scope, kind, sidecar.listen("up"), headers, path),
    states: () => (cluster?.stats() ?? []).map(({ state }) => state),
  };
}

async function folder(scope: Scope): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "outrigger-matrix-"));
  scope.onEnd(() => rm(made, { recursive: true, force: true }));
  return made;
}

/** Who answered so many calls, sorted. */
async function answerers({ call: make }: Pick<World, "call">, count: number): Promise<string[]> {
  const by: string[] = [];
  for (let n = 0; n < count; n++) by.push((await make()).by);
  return by.sort();
}

type Case = (scope: Scope, kind: Kind) => Promise<void>;
/** A row of socket-table.test.ts, which has each kind. */
interface Row {
  readonly cause: string;
}

const none = { outlierDetection: { mode: "disabled" } };

const cases: Readonly<Record<string, Case | Row>> = {
  async "`balancer`"(scope, kind) {
    const apps = [await Application.start(scope, kind, "a"), await Application.start(scope, kind, "b")];
    const made = await world(
      scope,
      kind,
      apps.map(({ address }) => address),
      {},
    );
    assert.deepEqual(await answerers(made, 4), ["a", "a", "b", "b"]);
  },

  "discovery by name, without an instance": { cause: "no instance" },

  async "`subsets`"(scope, kind) {
    const directory = { path: await folder(scope) };
    for (const name of ["a", "b"]) {
      const { address } = await Application.start(scope, kind, name);
      const service = { name: "up", address, protocol: protocolOf(kind), meta: { version: name } };
      await scope.sidecar({ service, discovery: { directory } });
    }
    const upstream = { discovery: "directory", endpoints: undefined, subsets: { match: { version: "b" } } };
    const made = await world(scope, kind, [], upstream, { discovery: { directory } });
    await eventually(
      async () => (await made.call()).by === "b",
      () => "the instance of the subset",
    );
    assert.deepEqual(await answerers(made, 3), ["b", "b", "b"]);
  },

  async "`failover`"(scope, kind) {
    const app = await Application.start(scope, kind, "b");
    const upstream = { discovery: "directory", endpoints: undefined, failover: ["second"] };
    const discovery = { directory: { path: await folder(scope) } };
    const made = await world(scope, kind, [], upstream, { discovery, second: [app.address] });
    assert.equal((await made.call()).by, "b");
  },

  async "another endpoint where one cannot be reached"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    const made = await world(scope, kind, [`127.0.0.1:${await freePort()}`, app.address], {});
    assert.deepEqual(await answerers(made, 3), ["a", "a", "a"]);
  },

  async "`outlierDetection`"(scope, kind) {
    const bad = await Application.start(scope, kind, "bad");
    const good = await Application.start(scope, kind, "good");
    bad.mode = "failing";
    const outlierDetection = { consecutiveFailures: 2, baseEjection: "30s" };
    const made = await world(scope, kind, [bad.address, good.address], { outlierDetection });
    for (let n = 0; n < 4; n++) await made.call();
    await eventually(
      () => made.states()[0] === "ejected",
      () => made.states().join(),
    );
    assert.deepEqual(await answerers(made, 3), ["good", "good", "good"]);
  },

  async "`healthCheck` by `tcp`"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    const healthCheck = { kind: "tcp", unhealthyAfter: 1, interval: "1s" };
    const made = await world(scope, kind, [`127.0.0.1:${await freePort()}`, app.address], { ...none, healthCheck });
    await eventually(
      () => made.states()[0] === "unhealthy" && made.states()[1] === "up",
      () => made.states().join(),
    );
    assert.deepEqual(await answerers(made, 3), ["a", "a", "a"]);
  },

  async "`loadBias`"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    const upstream = { loadBias: {} };
    const cluster = ({ runtime }: Sidecar) => [...runtime.upstreams.clusters()].find(({ name }) => name === "up");
    if (kind === "TCP") {
      const rateLimits = [{ name: "few", key: ["identity"], limit: "1/m" }];
      const mesh = await socketMesh(scope, {
        protocol: "tcp",
        applications: [app.address],
        mode: "strict",
        upstream,
        inbound: { rateLimits },
      });
      for (let n = 0; n < 2; n++) await call(scope, kind, mesh.address);
      await eventually(
        () => cluster(mesh.outbound)?.stats()[0]?.state === "limited",
        () => JSON.stringify(mesh.outbound.calls),
      );
      return;
    }
    app.mode = "limited";
    const made = await world(scope, kind, [app.address], upstream);
    assert.equal((await made.call()).status, 429);
    await eventually(
      () => made.states()[0] === "limited",
      () => made.states().join(),
    );
    made.sidecar.clock.jump(14_000);
    assert.equal(cluster(made.sidecar)?.stats()[0]?.effectiveWeight, 0.5, "for as long as retry-after says");
  },

  "`limits.maxConcurrent`": { cause: "too many calls at once" },

  async "`adaptiveConcurrency`"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    app.mode = "silent";
    const made = await world(scope, kind, [app.address], { adaptiveConcurrency: { initial: 1, min: 1, max: 1 } });
    void made.call().catch(() => {});
    await eventually(
      () => app.heard.host !== undefined,
      () => "the first call is under way",
    );
    assert.equal((await made.call()).fields["outrigger-reason"], "CONCURRENCY");
  },

  "`rateLimits`": { cause: "too many calls in a time" },
  "`circuitBreaker`": { cause: "an open circuit breaker" },

  async "`circuitBreaker.fallback`"(scope, kind) {
    const bad = await Application.start(scope, kind, "bad");
    const other = await Application.start(scope, kind, "other");
    bad.mode = "failing";
    const breaker = { failureRate: "50%", window: "10s", minimumRequests: 5, openFor: "60s" };
    const circuitBreaker = { ...breaker, fallback: { upstream: "second" } };
    const made = await world(scope, kind, [bad.address], { ...none, circuitBreaker }, { second: [other.address] });
    await eventually(
      async () => (await made.call()).by === "other",
      () => "the fallback answers",
    );
  },

  "`faults`": { cause: "a fault on purpose" },
  "`timeout`": { cause: "an answer that takes too long" },

  async "`routes`"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    const other = await Application.start(scope, kind, "other");
    const response = { set: { "x-way": "the other" } };
    const routes = [{ name: "other", upstream: "up", match: { method: "other/*" }, to: "second", response }];
    const made = await world(scope, kind, [app.address], {}, { routes, second: [other.address] });
    assert.equal((await made.call({}, "/mine/x")).by, "a");
    const said = await made.call({}, "/other/x");
    assert.deepEqual([said.by, said.fields["x-way"]], ["other", "the other"]);
  },

  async "`affinity`"(scope, kind) {
    const apps = [await Application.start(scope, kind, "a"), await Application.start(scope, kind, "b")];
    const endpoints = apps.map(({ address }) => address);
    const made = await world(scope, kind, endpoints, { affinity: { cookie: "seat" } });
    const first = await made.call();
    const cookie = String(first.fields["set-cookie"]).split(";")[0] ?? "";
    assert.match(cookie, /^seat=./);
    for (let n = 0; n < 3; n++) assert.equal((await made.call({ cookie })).by, first.by);
  },

  "`authorization` by address": { cause: "a caller who may not call" },

  async "`authorization` by identity, through mTLS"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    for (const [services, reason] of [
      [["caller"], undefined],
      [["friend"], "AUTHZ_DENIED"],
    ] as const) {
      const { address, inbound } = await socketMesh(scope, {
        protocol: protocolOf(kind),
        applications: [app.address],
        mode: "strict",
        inbound: { authorization: { default: "deny", allow: [{ name: "some", services }] } },
      });
      assert.equal((await call(scope, kind, address)).by, reason === undefined ? "a" : "");
      assert.equal((await inbound.call()).reason, reason);
    }
  },

  async tracing(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    const made = await world(
      scope,
      kind,
      [app.address],
      {},
      { tracing: { otlp: "http://127.0.0.1:1", sampling: "100%" } },
    );
    await made.call({ traceparent: `00-${TRACE}-b7ad6b7169203331-01` });
    assert.match(String(app.heard.traceparent), new RegExp(`^00-${TRACE}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
    assert.equal((await made.sidecar.call()).trace_id, TRACE);
  },

  async "explanation of a call"(scope, kind) {
    const app = await Application.start(scope, kind, "a");
    const { sidecar, call: make } = await world(scope, kind, [app.address], {});
    await make();
    await sidecar.call();
    const { explanations } = sidecar.runtime.services;
    const [latest] = explanations.latest(1, false);
    const [found] = explanations.find(latest?.id ?? "");
    assert.deepEqual([found?.upstream, found?.endpoint, found?.status], ["up", app.address, "OK"]);
    const words = found?.steps.map(({ decision }) => decision) ?? [];
    for (const word of ["routed", "picked", "attempt", "answered", "ended"] as const)
      assert.ok(words.includes(word), word);
  },

  "metrics by reason": { cause: "a fault on purpose" },

  async "an endpoint on a unix socket"(scope, kind) {
    const app = await Application.start(scope, kind, "a", join(await folder(scope), "app"));
    const made = await world(scope, kind, [app.address], {});
    assert.equal((await made.call()).by, "a");
  },

  async "an application and a listener on unix sockets"(scope, kind) {
    const path = await folder(scope);
    const app = await Application.start(scope, kind, "a", join(path, "app"));
    const { address } = await socketMesh(scope, {
      protocol: protocolOf(kind),
      applications: [app.address],
      mode: "strict",
      upstream: { listen: `unix:${join(path, "up")}` },
    });
    assert.equal((await call(scope, kind, address)).by, "a");
  },
};

/** What is said of a setting that has no effect for a protocol. */
const refusals: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "`adaptiveConcurrency`": { adaptiveConcurrency: {} },
  "`timeout`": { timeout: "5s" },
  "`affinity`": { affinity: { cookie: "seat" } },
  "`retry`": { retry: { idempotentMethods: ["a.B/C"], statuses: ["unavailable"] } },
};
const routes: Readonly<Record<string, object>> = {
  "`routes`": { match: { method: "other/*" }, to: "second" },
  "`routes.mirror`": { mirror: { to: "second" } },
};

function complaintsAbout(policy: string, kind: Kind): string {
  const same = { protocol: protocolOf(kind), discovery: "static", endpoints: ["127.0.0.1:1"], listen: "127.0.0.1:0" };
  const route = routes[policy];
  const config: SidecarConfig = {
    upstreams: { up: { ...same, ...refusals[policy] }, second: same },
    ...(route === undefined ? {} : { routes: [{ name: "one", upstream: "up", ...route }] }),
  };
  const loaded = loadConfig(JSON.stringify(wholeConfig(config)), { file: "matrix.yaml", env: {} });
  return loaded.ok ? "" : JSON.stringify(loaded);
}

/** The fields of the table of docs/protocols.md whose head begins with "policy". */
async function tableOf(page: string): Promise<readonly (readonly [policy: string, kind: Kind, word: string])[]> {
  const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), "utf8");
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith("| policy |"));
  const cells = (line: string): string[] =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
  assert.deepEqual(cells(lines[start] ?? ""), ["policy", ...kinds]);
  const end = lines.findIndex((line, at) => at > start && !line.startsWith("|"));
  return lines.slice(start + 2, end).flatMap((line) => {
    const [policy = "", ...words] = cells(line);
    return kinds.map((kind, at) => [policy, kind, words[at] ?? ""] as const);
  });
}

const table = await tableOf("protocols.md");

for (const [policy, kind, word] of table)
  test(`${kind}: ${policy}: ${word}`, async () => {
    if (word === "no") {
      if (policy !== "tracing") assert.match(complaintsAbout(policy, kind), /has no effect/);
      return;
    }
    assert.equal(word, "yes");
    const shown = cases[policy];
    assert.ok(shown !== undefined, "the page says what no case shows");
    if (typeof shown === "function") await inScope((scope) => shown(scope, kind));
    else {
      const text = await readFile(new URL("socket-table.test.ts", import.meta.url), "utf8");
      assert.ok(text.includes(`cause: "${shown.cause}"`), `socket-table.test.ts has no row "${shown.cause}"`);
      assert.ok(
        text.includes(`const kinds = [${kinds.map((each) => `"${each}"`).join(", ")}]`),
        "its kinds are others",
      );
    }
  });

test("the page has every policy that is shown", () => {
  const policies = new Set(table.map(([policy]) => policy));
  assert.deepEqual(
    Object.keys(cases).filter((policy) => !policies.has(policy)),
    [],
  );
});

test("HTTP/2, gRPC and WebSockets over it pass with the application, the sidecars and the endpoint on unix sockets", async () => {
  await inScope(async (scope) => {
    const path = await folder(scope);
    const answer = (stream: ServerHttp2Stream, head: IncomingHttpHeaders): void => {
      if (head["content-type"] === "application/grpc") {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      } else stream.respond({ ":status": 200 });
      stream.pipe(stream);
    };
    const app = await http2Server(scope, answer, { enableConnectProtocol: true }, join(path, "app"));
    const { address, inbound, outbound } = await socketMesh(scope, {
      protocol: "http2",
      applications: [app.address],
      upstream: { listen: `unix:${join(path, "up")}` },
      inbound: { listeners: { inbound: `unix:${join(path, "in")}` } },
    });
    assert.match(inbound.inbound, /^unix:/);
    const session = await http2Client(scope, address);
    const socket = await openWebSocket(session);
    assert.equal(socket.status, 200);
    socket.stream.end();
    await codeOf(socket.stream);
    const call = session.request({
      ":method": "POST",
      ":path": "/a.B/C",
      te: "trailers",
      "content-type": "application/grpc",
    });
    call.end();
    const [trailers] = (await once(call.resume(), "trailers")) as [IncomingHttpHeaders];
    assert.equal(trailers["grpc-status"], "0");
    for (const sidecar of [inbound, outbound]) assert.equal((await sidecar.call(1)).grpc_status, "OK");
  });
});

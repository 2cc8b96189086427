import assert from "node:assert/strict";
import test from "node:test";
import { defaultOutlierSettings } from "../../src/cluster/health/settings.ts";
import { loadConfig } from "../../src/config/load.ts";
import { overloadDefaults } from "../limits/fake-resources.ts";
import { bad, complaints, good } from "./load-text.ts";

const service = "service: { name: user, address: 127.0.0.1:50051 }\n";
const consul = "discovery: { consul: {} }\n";

/** TLS between sidecars by default. */
const noTls = {
  mode: "disabled",
  source: undefined,
  identity: undefined,
  minVersion: "tls13",
  rootOverlap: 600_000,
  handshakes: { atOnce: 256, perSource: 64, rate: 100, strangers: 500, timeout: 5000 },
} as const;

const anyConnections = {
  max: 10_000,
  maxPerSource: undefined,
  maxAge: undefined,
  grace: undefined,
  maxRequests: undefined,
  idleTimeout: undefined,
};

test("an empty file is a caller-only sidecar with all defaults", () => {
  const expected = {
    service: undefined,
    identity: { name: "unnamed" },
    listeners: {
      inbound: { kind: "tcp", host: "", port: 15006 },
      outbound: { kind: "tcp", host: "127.0.0.1", port: 15001 },
      admin: { kind: "tcp", host: "127.0.0.1", port: 15000 },
      probe: { kind: "tcp", host: "", port: 15021 },
    },
    connections: { inbound: anyConnections, outbound: anyConnections },
    admin: { hosts: [], token: undefined, tokenFile: undefined, tls: undefined },
    names: {
      suffixes: ["service.consul"],
      onDemand: { allow: ["*"], max: 200, idle: 600_000, negative: 5_000, rate: 10 },
    },
    discovery: { default: "static", consul: undefined, directory: undefined, dns: undefined, cache: undefined },
    mtls: noTls,
    upstreams: new Map(),
    rateLimits: [],
    routes: [],
    authorization: undefined,
    jwt: undefined,
    faults: [],
    deadlines: { refuseHopeless: "never" },
    capture: undefined,
    egress: "pass",
    protocols: new Map(),
    log: { level: "info", access: "errors", format: "json", sampling: 1, slow: undefined, limit: 10, redact: [] },
    metrics: { names: "outrigger", application: undefined },
    tracing: undefined,
    explain: { calls: 4096, callers: [] },
    drain: { notice: 2_000, grace: 25_000 },
    keepalive: { timeout: 10_000 },
    overload: overloadDefaults,
    workers: 1,
  };
  for (const text of ["", "\n", "# only a comment\n", "---\n", "\uFEFF", "{}", "upstreams:\nnames:\nlisteners:\n"]) {
    assert.deepEqual(good(text), expected, JSON.stringify(text));
  }
});

/** What an upstream has only where it is asked for. */
const off = {
  routing: "declared",
  startup: "required",
  protocol: "grpc",
  idleTimeout: undefined,
  streams: undefined,
  connections: undefined,
  connectTimeout: undefined,
  choices: 2,
  order: "listed",
  aperture: undefined,
  consul: undefined,
  retry: undefined,
  adaptiveConcurrency: undefined,
  bandwidth: undefined,
  mtls: undefined,
  identity: undefined,
  hash: undefined,
  loadReports: undefined,
  slowStart: undefined,
  loadBias: undefined,
  zones: undefined,
  priorities: [],
  spillBelow: 0.7,
  spillAbove: undefined,
  subsets: undefined,
  affinity: undefined,
  panicThreshold: 0.01,
  outlierDetection: defaultOutlierSettings,
  healthCheck: undefined,
  failover: [],
  circuitBreaker: undefined,
  admissionControl: undefined,
  limits: undefined,
};

test("what is said is taken over", () => {
  const config = good(`
service:
  name: user
  id: user-1
  address: unix:/run/user.sock
  protocol: http2
  health: tcp
  advertise: 10.0.0.7:15006
  tags: [v1, v2]
  meta: { version: "1.10", __proto__: x }
identity: { name: someone }
listeners: { inbound: "[::]:9006", probe: unix:/run/probe.sock?mode=0666 }
connections: { inbound: { max: 50, maxAge: 1h, idleTimeout: 5m }, outbound: { maxPerSource: 7, maxRequests: 1000, grace: 10s } }
admin: { hosts: [Sidecar.Internal., "sidecar.internal:8080"] }
names:
  suffixes: [mesh.internal]
  onDemand: { allow: [], max: 3, idle: 1h, negative: 0s, rate: 30/m }
discovery:
  default: directory
  consul:
    address: https://consul:8501/
    tokenFile: /token
    datacenter: dc1
    namespace: team
    partition: east
    tls: { ca: /ca.pem, cert: /cert.pem, key: /key.pem, serverName: consul.internal }
  directory: { path: /run/mesh }
mtls: { mode: disabled }
upstreams:
  orders: { discovery: consul, balancer: roundRobin, timeout: 1500ms, hosts: [Orders.internal, 10.0.0.1, "[::1]:80"], listen: ":0" }
  billing: { discovery: static, endpoints: [127.0.0.1:7001, "[2001:db8::1]:7002", unix:/run/b.sock] }
  tax:
log: { level: trace, access: all }
drain: { notice: 0s, grace: 10m }
keepalive: { timeout: 3s }
workers: 1
`);
  assert.deepEqual(config, {
    service: {
      name: "user",
      id: "user-1",
      address: { kind: "unix", path: "/run/user.sock", mode: 0o600 },
      protocol: "http2",
      idleTimeout: undefined,
      health: "tcp",
      healthPath: undefined,
      advertise: { host: "10.0.0.7", port: 15006 },
      adaptiveConcurrency: undefined,
      bandwidth: undefined,
      tags: ["v1", "v2"],
      meta: Object.fromEntries([
        ["version", "1.10"],
        ["__proto__", "x"],
      ]),
    },
    identity: { name: "someone" },
    listeners: {
      inbound: { kind: "tcp", host: "::", port: 9006 },
      outbound: { kind: "tcp", host: "127.0.0.1", port: 15001 },
      admin: { kind: "tcp", host: "127.0.0.1", port: 15000 },
      probe: { kind: "unix", path: "/run/probe.sock", mode: 0o666 },
    },
    connections: {
      inbound: { ...anyConnections, max: 50, maxAge: 3_600_000, idleTimeout: 300_000 },
      outbound: { ...anyConnections, maxPerSource: 7, maxRequests: 1000, grace: 10_000 },
    },
    admin: {
      hosts: ["sidecar.internal", "sidecar.internal:8080"],
      token: undefined,
      tokenFile: undefined,
      tls: undefined,
    },
    names: {
      suffixes: ["mesh.internal"],
      onDemand: { allow: [], max: 3, idle: 3_600_000, negative: 0, rate: 0.5 },
    },
    discovery: {
      default: "directory",
      consul: {
        address: "https://consul:8501",
        token: undefined,
        tokenFile: "/token",
        datacenter: "dc1",
        namespace: "team",
        partition: "east",
        tls: { ca: "/ca.pem", cert: "/cert.pem", key: "/key.pem", serverName: "consul.internal" },
      },
      directory: { path: "/run/mesh" },
      dns: undefined,
      cache: undefined,
    },
    mtls: noTls,
    upstreams: new Map(
      Object.entries({
        orders: {
          discovery: "consul",
          endpoints: [],
          dns: undefined,
          hosts: ["orders.internal", "10.0.0.1", "[::1]:80"],
          listen: { kind: "tcp", host: "", port: 0 },
          balancer: "roundRobin",
          timeout: 1_500,
          ...off,
        },
        billing: {
          discovery: "static",
          endpoints: [
            { kind: "tcp", host: "127.0.0.1", port: 7001 },
            { kind: "tcp", host: "2001:db8::1", port: 7002 },
            { kind: "unix", path: "/run/b.sock", mode: 0o600 },
          ],
          dns: undefined,
          hosts: [],
          listen: undefined,
          balancer: "leastRequest",
          timeout: undefined,
          ...off,
        },
        tax: {
          discovery: "directory",
          endpoints: [],
          dns: undefined,
          hosts: [],
          listen: undefined,
          balancer: "leastRequest",
          timeout: undefined,
          ...off,
        },
      }),
    ),
    rateLimits: [],
    routes: [],
    authorization: undefined,
    jwt: undefined,
    faults: [],
    deadlines: { refuseHopeless: "never" },
    capture: undefined,
    egress: "pass",
    protocols: new Map(),
    log: { level: "trace", access: "all", format: "json", sampling: 1, slow: undefined, limit: 10, redact: [] },
    metrics: { names: "outrigger", application: undefined },
    tracing: undefined,
    explain: { calls: 4096, callers: [] },
    drain: { notice: 0, grace: 600_000 },
    keepalive: { timeout: 3_000 },
    overload: overloadDefaults,
    workers: 1,
  });
});

test("a caller-only sidecar is unnamed, else it is called as its service or as it says", () => {
  assert.equal(good("").identity.name, "unnamed");
  assert.equal(good(service).identity.name, "user");
  assert.equal(good(`${service}identity: { name: other }\n`).identity.name, "other");
});

test("the only configured source is the default, and static never counts", () => {
  assert.equal(good("").discovery.default, "static");
  assert.equal(good("discovery: { static: {} }\n").discovery.default, "static");
  assert.equal(good(consul).discovery.default, "consul");
  assert.equal(good("discovery: { consul: {}, static: {} }\n").discovery.default, "consul");
  assert.equal(good("discovery: { directory: { path: /m } }\n").discovery.default, "directory");
  assert.equal(good("discovery: { dns: {} }\n").discovery.default, "dns");
  assert.equal(good("discovery: { default: static, consul: {} }\n").discovery.default, "static");
});

test("the namespace of a pod adds its suffixes, unless the file has its own", () => {
  const env = { POD_NAMESPACE: "prod" };
  assert.deepEqual(good("", env).names.suffixes, ["service.consul", "prod.svc.cluster.local", "prod.svc"]);
  assert.deepEqual(good("", { POD_NAMESPACE: "" }).names.suffixes, ["service.consul"]);
  assert.deepEqual(good("names: { suffixes: [a.b] }\n", env).names.suffixes, ["a.b"]);
});

test("a scalar that is one variable is read by the type of its key", () => {
  const env = { WORKERS: "1", MAX: "50", IDLE: "5m", LEVEL: "debug", PORT: "9000", NUMBER: "42" };
  const config = good(
    `workers: \${WORKERS}
names: { onDemand: { max: "\${MAX}", idle: "\${IDLE}" } }
log: { level: "\${LEVEL}" }
listeners: { outbound: "127.0.0.1:\${PORT}" }
discovery: { consul: { datacenter: "\${NUMBER}" } }
`,
    env,
  );
  assert.equal(config.workers, 1);
  assert.equal(config.names.onDemand.max, 50);
  assert.equal(config.names.onDemand.idle, 300_000);
  assert.equal(config.log.level, "debug");
  assert.deepEqual(config.listeners.outbound, { kind: "tcp", host: "127.0.0.1", port: 9000 });
  assert.equal(config.discovery.consul?.datacenter, "42", "a string stays one, whatever it looks like");
});

test("an optional value that becomes empty counts as absent, one that is written empty does not", () => {
  const text = `discovery: { consul: { token: "\${T:-}", datacenter: "\${D}" } }
service: { name: user, address: "127.0.0.1:1", tags: [v1, "\${T:-}"], meta: { a: "\${T:-}", b: c } }
log: { level: "\${D}" }
workers: \${T:-}
`;
  const config = good(text, { D: "" });
  assert.equal(config.discovery.consul?.token, undefined);
  assert.equal(config.discovery.consul?.datacenter, undefined);
  assert.deepEqual(config.service?.tags, ["v1"]);
  assert.deepEqual(config.service?.meta, { b: "c" });
  assert.equal(config.log.level, "info");
  assert.equal(config.workers, 1);
  assert.deepEqual(complaints('discovery: { consul: { datacenter: "" } }\n'), [
    "1:36 discovery.consul.datacenter: this is empty",
  ]);
});

test("variables are not replaced in keys and comments, and $${ is a literal", () => {
  const config = good(`# \${NONE}\nservice: { name: user, address: 127.0.0.1:1, tags: ["$\${NONE}"] }\n${consul}`);
  assert.deepEqual(config.service?.tags, ["${NONE}"]);
  assert.deepEqual(complaints("${NONE}: 1\n"), ['1:1 unknown key "${NONE}"']);
});

test("aliases stand for what they name", () => {
  const config = good(`${consul}upstreams:\n  orders: &slow { timeout: 10s }\n  billing: *slow\n`);
  assert.deepEqual(config.upstreams.get("billing"), config.upstreams.get("orders"));
});

test("mistakes of every kind are reported together and in the order of the file", () => {
  assert.deepEqual(
    complaints(
      `upstreams:\n  a: { timeout: 5, hosts: [x.y, "\${NONE}"] }\n  b: { hosts: [x.y] }\nnope: 1\nnope: 2\n${consul}`,
    ),
    [
      "2:17 upstreams.a.timeout is the number 5, not a duration",
      "2:34 the environment variable NONE is not set",
      "3:16 x.y is already a host of a",
      '4:1 unknown key "nope"',
      '5:1 duplicate key "nope", first in line 4',
    ],
  );
});

test("an issue has its path, its code and what to write instead", () => {
  assert.deepEqual(bad("upstreams:\n  billing:\n    endpoints: [127.0.0.1:1, 7001]\n"), [
    {
      code: "wrong-type",
      path: ["upstreams", "billing", "endpoints", 1],
      line: 3,
      column: 30,
      message: "upstreams.billing.endpoints[1] is the number 7001, not an address",
      expected: "an address to connect to, HOST:PORT, [v6]:PORT or unix:/path",
      suggestion: "127.0.0.1:7001",
    },
  ]);
});

test("a secret is in no issue, whatever is wrong with it", () => {
  for (const token of ["hunter2 hunter2", '"hunter2\\n"', "[hunter2]", "{ hunter2: x }"]) {
    const issues = bad(`discovery:\n  consul:\n    token: ${token}\n`);
    assert.doesNotMatch(JSON.stringify(issues), /hunter2/, token);
  }
  assert.doesNotMatch(JSON.stringify(bad("discovery: { consul: { token: 5551234 } }\n")), /5551234/);
});

test("an admin listener beyond loopback wants a token or certificates; a token without TLS is a warning", () => {
  const load = (admin: string) =>
    loadConfig(`listeners: { admin: :15000 }\nadmin: ${admin}\n`, { file: "test.yaml", env: {} });
  const files = "cert: /a, key: /b";
  for (const weak of ["{}", "{ hosts: [a.example] }", `{ tls: { ${files} } }`])
    assert.equal(load(weak).ok, false, weak);
  const warnings = (admin: string): readonly unknown[] => {
    const result = load(admin);
    assert.ok(result.ok, JSON.stringify(result));
    return result.warnings.map(({ code, line, column }) => [code, line, column]);
  };
  assert.deepEqual(warnings("{ token: 0123456789abcdef }"), [["risk", 1, 21]]);
  assert.deepEqual(warnings("{ tokenFile: /t }"), [["risk", 1, 21]]);
  assert.deepEqual(warnings(`{ tokenFile: /t, tls: { ${files} } }`), []);
  assert.deepEqual(warnings(`{ tls: { ${files}, clientCa: /c } }`), []);
  for (const near of ["127.0.0.1:1", "localhost:1", "127.9.9.9:1", "[::1]:1", "unix:/run/a.sock"])
    assert.ok(loadConfig(`listeners: { admin: "${near}" }\n`, { file: "test.yaml", env: {} }).ok, near);
});

test("a file in UTF-16, as Windows writes it, is told to be no UTF-8", () => {
  const text = Buffer.from("\uFEFFworkers: 2\n", "utf16le").toString("utf8");
  const loaded = loadConfig(text, { file: "f.yaml", env: {} });
  assert.ok(!loaded.ok);
  assert.deepEqual(
    loaded.issues.map(({ line, column, message }) => [line, column, message]),
    [[1, 4, "an octet of zero: this is no text in UTF-8"]],
  );
});

test("a file of more than a mebibyte is not read", () => {
  assert.deepEqual(complaints(`# ${"x".repeat(1_048_576)}\n`), ["1:1 the file is larger than 1 MiB"]);
});

test("a thousand aliases of aliases are refused in a moment", () => {
  const lines = ["a0: &a0 [x]"];
  for (let index = 1; index < 1000; index++) lines.push(`a${index}: &a${index} [*a${index - 1}, *a${index - 1}]`);
  const start = process.cpuUsage();
  assert.ok(complaints(lines.join("\n")).some((message) => message.includes("more than 100000 values")));
  assert.ok(process.cpuUsage(start).user < 5_000_000);
});

test("name servers have port 53 unless they say otherwise", () => {
  const { discovery } = good(`
discovery: { dns: { servers: [10.0.0.2, "127.0.0.1:8600", "fd00::2", "[fd00::3]:5353"], family: both, maxStale: 1h } }
`);
  assert.deepEqual(discovery.dns, {
    refresh: 5000,
    family: "both",
    servers: ["10.0.0.2:53", "127.0.0.1:8600", "[fd00::2]:53", "[fd00::3]:5353"],
    maxStale: 3_600_000,
  });
});

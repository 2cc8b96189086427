import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { checkText } from "../../src/config/check-text.ts";

const full = readFileSync(new URL("../../config/full.yaml", import.meta.url), "utf8");

test("of a good file a few lines say what was understood", () => {
  const { ok, output } = checkText(full, { file: "full.yaml", env: {}, json: false });
  assert.ok(ok);
  assert.equal(
    output,
    `full.yaml: ok
  service    user at 127.0.0.1:50051, advertised as 127.0.0.1:15006
  listeners  inbound :15006, outbound 127.0.0.1:15001, admin 127.0.0.1:15000, probe :15021
  discovery  consul
  upstream   orders: consul, leastRequest, timeout 2s, also orders.internal, listens on 127.0.0.1:15101
  upstream   billing: static 127.0.0.1:7001 127.0.0.1:7002, leastRequest
`,
  );
});

test("of an empty file it says that nothing is served", () => {
  const { output } = checkText("", { file: "empty.yaml", env: {}, json: false });
  assert.match(output, /^ {2}service {4}none, calls go out as unnamed$/m);
  assert.doesNotMatch(output, /inbound/);
});

test("as JSON a good file is an object with ok: true", () => {
  const { ok, output } = checkText(full, { file: "full.yaml", env: {}, json: true });
  assert.ok(ok);
  assert.deepEqual(JSON.parse(output), {
    ok: true,
    service: { name: "user", address: "127.0.0.1:50051", advertise: "127.0.0.1:15006" },
    identity: "user",
    listeners: { inbound: ":15006", outbound: "127.0.0.1:15001", admin: "127.0.0.1:15000", probe: ":15021" },
    discovery: "consul",
    upstreams: [
      {
        name: "orders",
        discovery: "consul",
        balancer: "leastRequest",
        timeout: "2s",
        endpoints: [],
        dns: null,
        hosts: ["orders.internal"],
        listen: "127.0.0.1:15101",
      },
      {
        name: "billing",
        discovery: "static",
        balancer: "leastRequest",
        timeout: null,
        endpoints: ["127.0.0.1:7001", "127.0.0.1:7002"],
        dns: null,
        hosts: [],
        listen: null,
      },
    ],
    warnings: [],
  });
});

test("a risk is told before what was understood, and the file is good", () => {
  const { ok, output } = checkText("listeners: { admin: :15000 }\nadmin: { tokenFile: /a }\n", {
    file: "a.yaml",
    env: {},
    json: false,
  });
  assert.ok(ok);
  assert.match(
    output,
    /^a\.yaml:1:21: warning: whoever is on the way to :15000 can read the token[^\n]*\n {4}listeners:.*\na\.yaml: ok\n/s,
  );
});

test("a broken file is told as an array of issues in JSON", () => {
  const { ok, output } = checkText("wrokers: 1\n", { file: "a.yaml", env: {}, json: true });
  assert.equal(ok, false);
  const issues: unknown = JSON.parse(output);
  assert.ok(Array.isArray(issues));
  assert.deepEqual(issues, [
    {
      code: "unknown-key",
      message: 'unknown key "wrokers"',
      expected:
        "one of service, identity, listeners, connections, admin, names, discovery, mtls, upstreams, routes, rateLimits, authorization, jwt, faults, deadlines, capture, egress, protocols, log, metrics, tracing, explain, drain, keepalive, overload, workers",
      suggestion: "workers",
      path: ["wrokers"],
      line: 1,
      column: 1,
    },
  ]);
});

test("where an upstream is in DNS is said as it will be asked for", () => {
  const text = `
discovery: { dns: {} }
upstreams:
  orders: { dns: { name: orders.internal, port: 50051 } }
  billing: { dns: { srv: _grpc._tcp.billing.internal } }
  static: { discovery: static, endpoints: [127.0.0.1:7001] }
`;
  const { ok, output } = checkText(text, { file: "dns.yaml", env: {}, json: false });
  assert.ok(ok);
  assert.match(output, /^ {2}upstream +orders: dns orders\.internal:50051, leastRequest$/m);
  assert.match(output, /^ {2}upstream +billing: dns _grpc\._tcp\.billing\.internal, leastRequest$/m);
  assert.match(output, /^ {2}upstream +static: static 127\.0\.0\.1:7001, leastRequest$/m);
});

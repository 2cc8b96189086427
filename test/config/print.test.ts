import assert from "node:assert/strict";
import test from "node:test";
import { printConfig } from "../../src/config/print.ts";
import { redact } from "../../src/config/redact.ts";
import { good } from "./load-text.ts";

const defaults = `identity:
  name: unnamed               # default
listeners:
  inbound: ":15006"           # default
  outbound: 127.0.0.1:15001   # default
  admin: 127.0.0.1:15000      # default
  probe: ":15021"             # default
connections:
  inbound:
    max: 10000                # default
  outbound:
    max: 10000                # default
admin:
  hosts: []                   # default
names:
  suffixes: [service.consul]  # default
  onDemand:
    allow: ["*"]              # default
    max: 200                  # default
    idle: 10m                 # default
    negative: 5s              # default
    rate: 10/s                # default
discovery:
  default: static             # default
mtls:
  mode: disabled              # default
  minVersion: tls13           # default
  rootOverlap: 10m            # default
  handshakes:
    atOnce: 256               # default
    perSource: 64             # default
    rate: 100                 # default
    strangers: 500            # default
    timeout: 5s               # default
upstreams: {}                 # default
routes: []                    # default
rateLimits: []                # default
faults: []                    # default
deadlines:
  refuseHopeless: never       # default
egress: pass                  # default
protocols: {}                 # default
log:
  level: info                 # default
  format: json                # default
  access: errors              # default
  sampling: 100%              # default
  limit: 10/s                 # default
  redact: []                  # default
metrics:
  names: outrigger            # default
explain:
  calls: 4096                 # default
  callers: []                 # default
drain:
  notice: 2s                  # default
  grace: 25s                  # default
keepalive:
  timeout: 10s                # default
overload:
  interval: 1s                # default
  recovery: 5%                # default
  memory:
    shrinkHeap: 85%           # default
    closeIdle: 90%            # default
    forgetBodies: 90%         # default
    refuseSheddable: 92%      # default
    refuseOrdinary: 95%       # default
    refuseAll: 98%            # default
    refuseConnections: 98%    # default
  heap:
    shrinkHeap: 85%           # default
    closeIdle: 90%            # default
    forgetBodies: 90%         # default
    refuseSheddable: 92%      # default
    refuseOrdinary: 95%       # default
    refuseAll: 98%            # default
    refuseConnections: 98%    # default
workers: 1                    # default
`;

test("of an empty file exactly the defaults are printed", () => {
  assert.deepEqual(printConfig("", { file: "empty.yaml", env: {}, json: false }), { ok: true, output: defaults });
});

const text = `service:
  name: \${NAME}
  address: "127.0.0.1:\${PORT}"
  tags: ["\${TAG}", b]
  meta: { zone: "\${ZONE:-a}", "on": "1.10" }
discovery:
  consul:
    token: \${TOKEN}
upstreams:
  orders:
    timeout: 1500ms
`;
const env = { NAME: "user", PORT: "50051", TAG: "v1", TOKEN: "hunter2", POD_NAMESPACE: "prod" };

test("each value is printed with where it comes from", () => {
  const { ok, output } = printConfig(text, { file: "a.yaml", env, json: false });
  assert.ok(ok);
  const lines = new Map(
    output.split("\n").map((line) => [line.replace(/ *#.*/, "").trim(), line.replace(/^.*?# /, "")]),
  );
  const expected = {
    "name: user": "default, from service.name",
    "address: 127.0.0.1:50051": "a.yaml:3:12, env PORT",
    "protocol: grpc": "default",
    "tags: [v1, b]": "a.yaml:4:9, env TAG",
    "zone: a": "a.yaml:5:17",
    '"on": "1.10"': "a.yaml:5:37",
    'token: "***"': "env TOKEN",
    "address: http://127.0.0.1:8500": "default",
    "default: consul": "default, from discovery.consul",
    "discovery: consul": "default, from discovery.default",
    "timeout: 1500ms": "a.yaml:11:14",
    "suffixes: [service.consul, prod.svc.cluster.local, prod.svc]": "default, from POD_NAMESPACE",
  };
  for (const [line, from] of Object.entries(expected)) assert.equal(lines.get(line), from, line);
  assert.match(output, /^ {2}name: user +# env NAME$/m);
});

test("as JSON it is the configuration, and the origins by JSON Pointer", () => {
  const { ok, output } = printConfig(text, { file: "a.yaml", env, json: true });
  assert.ok(ok);
  const printed: unknown = JSON.parse(output);
  assert.deepEqual(Object(printed).config, redact(good(text, env)));
  const { origins } = Object(printed);
  assert.equal(origins["/service/name"], "env NAME");
  assert.equal(origins["/service/meta/zone"], "a.yaml:5:17");
  assert.equal(origins["/upstreams/orders/timeout"], "a.yaml:11:14");
  assert.equal(origins["/workers"], "default");
});

test("a literal ${ is printed so that it is one again", () => {
  const literal = "discovery: { consul: { datacenter: '$${NAME} $$${NAME}' } }\n";
  const { output } = printConfig(literal, { file: "a.yaml", env: {}, json: false });
  assert.equal(good(literal).discovery.consul?.datacenter, "${NAME} $${NAME}");
  assert.equal(good(output).discovery.consul?.datacenter, "${NAME} $${NAME}");
});

test("no secret is printed in any form", () => {
  for (const json of [true, false])
    assert.doesNotMatch(printConfig(text, { file: "a.yaml", env, json }).output, /hunter2/);
  assert.doesNotMatch(JSON.stringify(redact(good(text, env))), /hunter2/);
});

test("the redacted configuration is in the words of the file", () => {
  const redacted: unknown = redact(good("drain: { grace: 90s }\nlisteners: { outbound: unix:/o.sock?mode=0660 }\n"));
  assert.equal(Object(redacted).drain.grace, "90s");
  assert.equal(Object(redacted).listeners.outbound, "unix:/o.sock?mode=0660");
  assert.equal(Object(redacted).listeners.inbound, ":15006");
});

test("a broken file is not printed; its issues are", () => {
  const broken = { file: "a.yaml", env: {}, json: false };
  const { ok, output } = printConfig("wrokers: 1\n", broken);
  assert.equal(ok, false);
  assert.match(output, /^a\.yaml:1:1: unknown key "wrokers"\n/);
  const issues: unknown = JSON.parse(printConfig("wrokers: 1\n", { ...broken, json: true }).output);
  assert.deepEqual(Object(issues)[0].suggestion, "workers");
});

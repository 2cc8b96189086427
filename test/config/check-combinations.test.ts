import assert from "node:assert/strict";
import test from "node:test";
import { complaints, good } from "./load-text.ts";

const service = "service: { name: user, address: 127.0.0.1:50051 }\n";

/** Combinations beside those of the broken files, and those that are right though they look wrong. */
const rightOnes: readonly [string, string][] = [
  ["listeners on free ports do not meet", "listeners: { outbound: :0, admin: 127.0.0.1:0, probe: :0 }\n"],
  ["two addresses of the machine may share a port", "listeners: { outbound: 10.0.0.1:9000, admin: 127.0.0.1:9000 }\n"],
  ["the inbound default of a caller-only sidecar is not bound", "listeners: { probe: :15006 }\n"],
  ["a default may be spelled out where it has no effect", 'listeners: { inbound: ":15006" }\n'],
  [
    "the defaults of names on demand may be spelled out",
    'names: { onDemand: { allow: ["*"], max: 200, idle: 10m, negative: 5s, rate: 10/s } }\n',
  ],
  ["nobody is looked up on demand where the list is empty", "names: { onDemand: { allow: [] } }\n"],
  ["an empty list of endpoints is no endpoint", "discovery: { consul: {} }\nupstreams: { a: { endpoints: [] } }\n"],
  [
    "loopback may be advertised to an agent on loopback",
    `service: { name: user, address: 127.0.0.1:1, advertise: 127.0.0.1:15006 }\ndiscovery: { consul: { address: "http://[::1]:8500" } }\n`,
  ],
  [
    "loopback may be advertised in a directory",
    "service: { name: user, address: 127.0.0.1:1, advertise: 127.0.0.1:15006 }\ndiscovery: { directory: { path: /m } }\n",
  ],
  [
    "a loopback inbound is right where something else is advertised",
    "service: { name: user, address: 127.0.0.1:1, advertise: 10.0.0.7:15006 }\nlisteners: { inbound: 127.0.0.1:15006 }\ndiscovery: { consul: { address: http://10.0.0.5:8500 } }\n",
  ],
  [
    "a port alone is advertised with a host that is found",
    "service: { name: user, address: 127.0.0.1:1, advertise: :31000 }\ndiscovery: { consul: { address: http://10.0.0.5:8500 } }\n",
  ],
  [
    "a unix socket may be inbound where something else is advertised",
    "service: { name: user, address: 127.0.0.1:1, advertise: 10.0.0.7:15006 }\nlisteners: { inbound: unix:/run/in.sock }\ndiscovery: { consul: {} }\n",
  ],
  ["a unix socket may be inbound where nothing is registered", `${service}listeners: { inbound: unix:/run/in.sock }\n`],
  [
    "an upstream may have its own name as a host",
    "discovery: { consul: {} }\nupstreams: { a: { hosts: [a.service.consul] } }\n",
  ],
  [
    "a host with a port leaves the name of an upstream reachable",
    'discovery: { consul: {} }\nupstreams: { a: { hosts: ["b:8080"] }, b: {} }\n',
  ],
  ["a service may call itself", `${service}discovery: { consul: {} }\nupstreams: { user: {} }\n`],
  ["an empty token leaves the file", 'discovery: { consul: { token: "${NONE:-}", tokenFile: /t } }\n'],
  ["TLS with defaults needs no certificate", "discovery: { consul: { address: https://c:8501, tls: {} } }\n"],
];

for (const [name, text] of rightOnes) {
  test(name, () => {
    good(text);
  });
}

const wrongOnes: readonly [string, string, readonly string[]][] = [
  [
    "localhost and its address are one place",
    "listeners: { outbound: localhost:9000, admin: 127.0.0.1:9000 }\n",
    ["1:47 listeners.admin listens where listeners.outbound does, localhost:9000"],
  ],
  [
    "an application on the wildcard inbound of its own sidecar is a loop",
    'service: { name: user, address: "localhost:15006" }\n',
    ["1:33 service.address is listeners.inbound of this sidecar: it would call itself"],
  ],
  [
    "an application on the socket of an upstream's listener is a loop",
    "service: { name: user, address: unix:/run/a.sock }\nupstreams: { a: { endpoints: [127.0.0.1:1], listen: unix:/run/a.sock } }\n",
    ["1:33 service.address is upstreams.a.listen of this sidecar: it would call itself"],
  ],
  [
    "a suffix of the file decides what the name of an upstream is",
    "discovery: { consul: {} }\nnames: { suffixes: [mesh] }\nupstreams: { a: { hosts: [b.mesh, b.service.consul] }, b: {} }\n",
    ["3:27 b.mesh is a name of the upstream b, which could not be called by it any more"],
  ],
  [
    "where the default source is unknown, only that is said",
    "service: { name: user, address: 127.0.0.1:1, tags: [a] }\ndiscovery: { consul: {}, directory: { path: /m } }\nupstreams: { a: {} }\n",
    ['2:1 missing key "default" in discovery: consul and directory are configured, and neither is the default'],
  ],
  [
    "a source that cannot be read is configured all the same",
    "discovery: { consul: 7 }\nupstreams: { a: { discovery: consul } }\n",
    ["1:22 discovery.consul is the number 7, not a mapping"],
  ],
];

for (const [name, text, expected] of wrongOnes) {
  test(name, () => {
    assert.deepEqual(complaints(text), expected);
  });
}

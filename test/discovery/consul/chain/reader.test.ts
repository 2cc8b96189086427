import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { loadRegex } from "../../../../src/core/regex.ts";
import type { Chain } from "../../../../src/discovery/consul/chain/chain.ts";
import { readChain } from "../../../../src/discovery/consul/chain/reader.ts";

/** An answer of Consul 1.22 for a service with a router, a splitter and a resolver. */
const recorded = await readFile(new URL("../../../fixtures/consul/discovery-chain.json", import.meta.url), "utf8");

const regex = await loadRegex();

function read(text: string, datacenter?: string): Chain {
  const chain = readChain(text, { datacenter, regex });
  assert.ok(typeof chain !== "string", JSON.stringify(chain));
  return chain;
}

/** The recorded answer with something else in it. */
function changed(change: (chain: Record<string, Record<string, unknown>>) => void): string {
  const body = JSON.parse(recorded);
  change(body.Chain);
  return JSON.stringify(body);
}

test("a router's routes come in their order, each with what it matches, and where it leads", () => {
  const { routes, protocol, isDefault } = read(recorded);
  assert.equal(protocol, "grpc");
  assert.equal(isDefault, false);
  assert.deepEqual(
    routes.map(({ name, ways }) => [name, ways.map(({ target, share }) => [target, Number(share.toFixed(4))])]),
    [
      ["Routes[0]", [["api.default.default.dc1", 1]]],
      ["Routes[1]", [["v2.web.default.default.dc1", 1]]],
      [
        "Routes[3]",
        [
          ["v1.web.default.default.dc1", 0.3333],
          ["v2.web.default.default.dc1", 0.6667],
        ],
      ],
    ],
  );
  assert.deepEqual(routes[0]?.match, {
    path: { kind: "prefix", text: "/a.B/", ignoreCase: true },
    headers: [
      { name: "x-kind", kind: "exact", text: "1", invert: false, ignoreCase: false },
      { name: "y", kind: "present", text: "", invert: true, ignoreCase: false },
      { name: "z", kind: "regex", text: "(?i)a.*", invert: false, ignoreCase: false },
    ],
    query: [{ name: "q", kind: "exact", text: "1", invert: false, ignoreCase: false }],
    methods: ["POST"],
  });
});

test("a destination's times, retries and edits are read", () => {
  const [first, second] = read(recorded).routes;
  assert.equal(first?.rewrite, "/c.D/");
  assert.equal(first.timeout, 69_500);
  assert.equal(first.idleTimeout, 4000);
  assert.deepEqual(first.retry, { retries: 3, on: ["unavailable", "connect-failure"], statuses: [503] });
  assert.deepEqual(first.request, {
    set: new Map([
      ["c", "d"],
      ["share", "100%"],
    ]),
    add: new Map([["a", "b"]]),
    remove: ["e"],
  });
  assert.equal(second?.timeout, Number.POSITIVE_INFINITY, "a negative timeout is none");
  assert.equal(second.retry, undefined);
});

test("edits of a splitter belong to its way", () => {
  const split = read(recorded).routes.at(-1);
  assert.deepEqual([...(split?.ways[0]?.request.set ?? [])], [["x-v", "1"]]);
  assert.deepEqual([...(split?.ways[1]?.response.add ?? [])], [["x-v", "2"]]);
});

test("targets are what discovery is asked for, with what their resolver says", () => {
  const { targets } = read(recorded);
  assert.deepEqual(
    [...targets.values()].map(({ label, lookup }) => [label, lookup]),
    [
      ["api", "api"],
      ["v1.web", "web any where Service.Meta.version == v1"],
      ["v1.web@dc2", "web@dc2 any where Service.Meta.version == v1"],
      ["v2.web", "web where Service.Meta.version == v2"],
    ],
  );
  const first = targets.get("v1.web.default.default.dc1");
  assert.deepEqual(first?.failover, ["api.default.default.dc1", "v1.web.default.default.dc2"]);
  assert.equal(first.connectTimeout, 3000);
  assert.equal(first.requestTimeout, 7000);
  assert.deepEqual(first.balancing, {
    policy: "ringHash",
    choices: 2,
    hash: [
      { from: "header", name: "x-user", terminal: true },
      { from: "source", name: "", terminal: false },
      { from: "cookie", name: "c", terminal: false },
    ],
  });
});

test("a chain that was compiled in another data centre asks there", () => {
  assert.equal(read(recorded, "dc1").targets.get("api.default.default.dc1")?.lookup, "api@dc1");
});

test("what is not obeyed is told once, with where it stands", () => {
  assert.deepEqual(read(recorded).problems, [
    "service-resolver web: LoadBalancer.RingHashConfig: the ring has 256 points for the lightest endpoint, 131072 at most",
    "service-resolver web: LoadBalancer.HashPolicies[2].CookieConfig: a cookie is read, and none is set: upstreams.NAME.affinity does that",
    "service-router web: Routes[0].Destination.RetryOn[1]: nothing of the kind of retriable-4xx befalls a call of gRPC",
    "service-router web: Routes[0].Destination.RequestHeaders.Set.host-of: what stands between percent signs is known to Envoy only",
    "service-router web: Routes[2].Match.HTTP.Header[0].Regex: (a is no regular expression of RE2; the route matches no call",
  ]);
});

test("instances of a peer, of another partition or behind a mesh gateway are not asked for as if they were here", () => {
  for (const [key, value, why] of [
    ["Peer", "elsewhere", "instances of the peer elsewhere are reached through mesh gateways only"],
    ["Partition", "billing", "another namespace or partition is not asked"],
    ["MeshGateway", { Mode: "local" }, "MeshGateway.Mode local: there are no mesh gateways here"],
  ] as const) {
    const text = changed(({ Targets }) => {
      Reflect.set(Object(Targets?.["api.default.default.dc1"]), key, value);
    });
    const { targets, problems } = read(text);
    assert.equal(targets.get("api.default.default.dc1")?.lookup, undefined, key);
    assert.ok(problems.includes(`service-resolver: target api.default.default.dc1: ${why}`), problems.join("\n"));
  }
});

test("a service of which no config entry says anything is its own instances", () => {
  const text = changed((chain) => {
    Object.assign(chain, { Default: true, Protocol: "tcp", StartNode: "resolver:api.default.default.dc1" });
  });
  const { routes, isDefault } = read(text);
  assert.equal(isDefault, true);
  assert.deepEqual(
    routes.map(({ name, ways }) => [name, ways[0]?.target]),
    [["", "api.default.default.dc1"]],
  );
});

test("what is no chain is refused with what is wrong", () => {
  assert.equal(readChain("<html>"), "it is no JSON");
  assert.equal(readChain("{}"), "it has no Chain.StartNode");
  assert.equal(readChain(changed((chain) => Reflect.set(chain, "Targets", null))), "it has no Chain.Targets");
  assert.match(
    JSON.stringify(readChain(changed(({ Nodes }) => void delete Nodes?.["splitter:web.default.default"]))),
    /^"Chain\.Nodes has no splitter:web/,
  );
  const circle = changed(({ Nodes }) => {
    const splitter = Object(Nodes?.["splitter:web.default.default"]);
    for (const split of splitter.Splits) split.NextNode = "splitter:web.default.default";
  });
  assert.match(JSON.stringify(readChain(circle)), /round in a circle/);
});

import assert from "node:assert/strict";
import { createServer, type OutgoingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock } from "../../../src/core/clock.ts";
import { ConsulIntentions } from "../../../src/discovery/consul/intentions.ts";

interface Answer {
  readonly match?: unknown;
  readonly headers?: OutgoingHttpHeaders;
  readonly self?: unknown;
  readonly selfStatus?: number;
}

/** What is made of the answers of an agent. */
async function asked({ match = { up: [] }, headers = {}, self = { DebugConfig: {} }, selfStatus = 200 }: Answer) {
  const server = createServer((request, response) => {
    const isSelf = request.url?.startsWith("/v1/agent/self") === true;
    response.writeHead(isSelf ? selfStatus : 200, { "x-consul-index": "7", ...headers });
    response.end(JSON.stringify(isSelf ? self : match));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const options = { token: undefined, tokenFile: undefined, tls: undefined };
  const where = { datacenter: undefined, namespace: undefined, partition: undefined };
  const intentions = new ConsulIntentions({ address: `http://127.0.0.1:${port}`, ...options, ...where }, systemClock);
  try {
    return await intentions.of("up", { index: 0n, signal: new AbortController().signal });
  } finally {
    intentions.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("the default is the agent's own, else that of its ACLs, and deny where nobody says or may see it", async () => {
  const acl = (policy: string) => ({ "x-consul-default-acl-policy": policy });
  const own = (policy: string) => ({ DebugConfig: { DefaultIntentionPolicy: policy } });
  for (const [answer, expected] of [
    [{ headers: acl("allow") }, "allow"],
    [{ headers: acl("deny") }, "deny"],
    [{}, "deny"],
    [{ headers: acl("allow"), self: own("deny") }, "deny"],
    [{ headers: acl("deny"), self: own("allow") }, "allow"],
    [{ headers: acl("allow"), self: own("") }, "allow"],
    [{ headers: acl("allow"), self: own("perhaps") }, "deny"],
    [{ headers: acl("allow"), selfStatus: 403 }, "deny"],
  ] as const)
    assert.equal((await asked(answer)).byDefault, expected, JSON.stringify(answer));
});

test("a list is one only where it is there and whole", async () => {
  assert.deepEqual((await asked({ match: { up: null } })).list, []);
  assert.deepEqual((await asked({ match: { up: [{ a: 1 }] } })).list, [{ a: 1 }]);
  for (const [answer, why] of [
    [{ match: {} }, /sent no intentions for up/],
    [{ match: { other: [] } }, /sent no intentions for up/],
    [{ match: null }, /sent no intentions for up/],
    [{ headers: { "x-consul-results-filtered-by-acls": "true" } }, /does not show all intentions for up/],
    [{ headers: { "x-consul-knownleader": "false" } }, /has no cluster leader/],
    [{ selfStatus: 500 }, /answers 500/],
    [{ self: {} }, /does not tell its configuration/],
  ] as const)
    await assert.rejects(asked(answer), { name: "ConsulError", message: why }, JSON.stringify(answer));
});

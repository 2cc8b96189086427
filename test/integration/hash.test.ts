import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineClient, EngineServer } from "../support/engine-peer.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead, callHead } from "../support/raw-call.ts";
import { inScope } from "../support/with-proxy.ts";

const SERVERS = 3;
const KEYS = 24;

/** How calls differ that are kept together by it. By identity: test/integration/mtls/by-identity.test.ts. */
const ways: readonly (readonly [hash: object, head: (key: number) => PlainField[]])[] = [
  [
    { by: "path" },
    (key) =>
      callHead("up").map(([name, value]) => (name === ":path" ? [name, `/test.v1.Test/Call${key}`] : [name, value])),
  ],
  [{ by: "metadata", name: "x-user" }, (key) => callHead("up", ["x-user", `user-${key}`])],
];

for (const balancer of ["ringHash", "maglev"])
  for (const [hash, head] of ways)
    test(`${balancer}, ${JSON.stringify(hash)}: the calls of a key are all at one instance, in two sidecars the same, and keys are spread`, async () => {
      await inScope(async (scope) => {
        const servers: EngineServer[] = [];
        for (let at = 0; at < SERVERS; at++)
          servers.push(await EngineServer.start(() => [...answerHead, ["grpc-status", "0"], ["x-server", `${at}`]]));
        scope.onEnd(() => {
          for (const server of servers) server.stop();
        });
        const up = { discovery: "static", endpoints: servers.map(({ address }) => address), balancer, hash };
        const by = new Map<number, Set<string>>();
        for (let sidecar = 0; sidecar < 2; sidecar++) {
          const { outbound } = await scope.sidecar({ upstreams: { up } });
          const client = await EngineClient.connect(outbound);
          scope.onEnd(() => client.close());
          for (let key = 0; key < KEYS; key++)
            for (let call = 0; call < 3; call++) {
              const server = (await client.call(head(key))).get("x-server") ?? "none";
              by.set(key, (by.get(key) ?? new Set()).add(server));
            }
        }
        for (const [key, at] of by) assert.equal(at.size, 1, `key ${key} was at ${[...at].join(", ")}`);
        const used = new Set([...by.values()].flatMap((at) => [...at]));
        assert.ok(used.size > 1, "not all keys are at one instance");
      });
    });

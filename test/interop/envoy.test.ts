import assert from "node:assert/strict";
import { test } from "node:test";
import { skipUnless } from "../support/real-parts.ts";
import { startEnvoyWays } from "./envoy.ts";
import { goClient, goServer, nodeClient, nodeServer } from "./h2-pairs.ts";
import { casesOf } from "./pairs.ts";
import type { InteropClient, InteropServer } from "./peer.ts";
import { grpcGoClient, grpcGoServer, grpcioClient, grpcioServer, grpcJsClient, grpcJsServer } from "./peers.ts";

const envoyPairs: readonly (readonly [InteropClient, InteropServer])[] = [
  [grpcGoClient, grpcGoServer],
  [grpcJsClient, grpcJsServer],
  [grpcioClient, grpcioServer],
  [nodeClient, nodeServer],
  [goClient, goServer],
];
/** Through Envoy the sheer number of calls proves nothing more; 103 is what Envoy does not pass on. */
const LEFT_OUT = ["channel_soak", "concurrent_large_unary", "hints"];

for (const [client, server] of envoyPairs) {
  const title = `${client.name} calls ${server.name} with Envoy on either side of the sidecar as through Envoy alone`;
  test(title, skipUnless("envoy", ...client.parts, ...server.parts), async (t) => {
    const names = casesOf(client, server).filter((name) => !LEFT_OUT.includes(name));
    const running = await server.start();
    try {
      const ways = await startEnvoyWays(running.address);
      try {
        const alone = await client.run(ways.alone, names);
        const before = await client.run(ways.before, names);
        const behind = await client.run(ways.behind, names);
        for (const name of names) {
          await t.test(name, () => {
            const wanted = alone.get(name);
            assert.deepEqual(before.get(name), wanted, "client -> Envoy -> sidecar -> application");
            assert.deepEqual(behind.get(name), wanted, "client -> sidecar -> Envoy -> application");
            assert.equal(wanted?.fault, undefined, "Envoy alone");
          });
        }
      } finally {
        await ways.stop();
      }
    } finally {
      await running.stop();
    }
  });
}

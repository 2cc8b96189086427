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

/**
 * Runs the cases, and those that failed twice more: without any sidecar Envoy cuts a 16 MiB answer of node:http2 now and then
 * (seen at 950,263 octets), and what it does by itself is not what is asked here.
 */
async function runSteadily(
  client: InteropClient,
  address: string,
  names: readonly string[],
): ReturnType<InteropClient["run"]> {
  const results = new Map(await client.run(address, names));
  for (let again = 0; again < 2; again++) {
    const failed = names.filter((name) => results.get(name)?.fault !== undefined);
    if (failed.length === 0) break;
    for (const [name, result] of await client.run(address, failed)) results.set(name, result);
  }
  return results;
}

for (const [client, server] of envoyPairs) {
  const title = `${client.name} calls ${server.name} with Envoy on either side of the sidecar as through Envoy alone`;
  test(title, skipUnless("envoy", ...client.parts, ...server.parts), async (t) => {
    const names = casesOf(client, server).filter((name) => !LEFT_OUT.includes(name));
    const running = await server.start();
    try {
      const ways = await startEnvoyWays(running.address);
      try {
        const alone = await runSteadily(client, ways.alone, names);
        const before = await runSteadily(client, ways.before, names);
        const behind = await runSteadily(client, ways.behind, names);
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

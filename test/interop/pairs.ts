import type { CaseResult, InteropClient, InteropServer } from "./peer.ts";
import {
  grpcGoClient,
  grpcGoMoreClient,
  grpcGoMoreServer,
  grpcGoServer,
  grpcioClient,
  grpcioServer,
  grpcJsClient,
  grpcJsServer,
} from "./peers.ts";
import { startWays } from "./ways.ts";

/** Who calls whom. */
export const pairs: readonly (readonly [InteropClient, InteropServer])[] = [
  [grpcGoClient, grpcGoServer],
  [grpcGoClient, grpcJsServer],
  [grpcJsClient, grpcGoServer],
  [grpcJsClient, grpcJsServer],
  [grpcGoMoreClient, grpcGoMoreServer],
  [grpcioClient, grpcioServer],
  [grpcioClient, grpcGoServer],
  [grpcGoClient, grpcioServer],
  [grpcJsClient, grpcioServer],
];

/** Cases that take their time; the others of a pair are quick. */
const HEAVY = new Set(["rpc_soak", "channel_soak", "concurrent_large_unary"]);

/** The cases that both know. Heavy ones are left out with grpcio, whose server has a thread a call. */
export function casesOf(client: InteropClient, server: InteropServer): string[] {
  return client.cases.filter(
    (name) => !(name in server.lacks) && !(HEAVY.has(name) && (server.name === "grpcio" || client.name === "grpcio")),
  );
}

/** A case of a pair, as it went directly, through one sidecar, and through two: in plaintext and by TLS. */
export interface Row {
  readonly name: string;
  readonly direct: CaseResult;
  readonly one: CaseResult;
  readonly two: CaseResult;
  readonly secured: CaseResult;
}

/** What is wrong with a row; undefined where each way was passed and both looked like the direct one. */
export function verdict({ direct, one, two, secured }: Row): string | undefined {
  const ways = { direct, one, two, secured };
  for (const [way, { fault, seen }] of Object.entries(ways)) {
    if (fault !== undefined) return `${way}: ${fault}`;
    if (seen !== direct.seen) return `${way} differs from direct:\n${seen}\n${direct.seen}`;
  }
  return undefined;
}

/** Runs all cases of a pair on all ways. Rejects where a sidecar keeps a call. */
export async function runPair(client: InteropClient, server: InteropServer): Promise<Row[]> {
  const running = await server.start();
  try {
    const ways = await startWays(running.address);
    try {
      const names = casesOf(client, server);
      const direct = await client.run(ways.direct, names);
      const one = await client.run(ways.one, names);
      const two = await client.run(ways.two, names);
      const secured = await client.run(ways.secured, names);
      const unrest = await ways.unrest();
      if (unrest.length > 0) throw new Error(`calls are left in the sidecars: ${unrest.join(", ")}`);
      const none = { seen: "", fault: "did not run" };
      return names.map((name) => ({
        name,
        direct: direct.get(name) ?? none,
        one: one.get(name) ?? none,
        two: two.get(name) ?? none,
        secured: secured.get(name) ?? none,
      }));
    } finally {
      await ways.stop();
    }
  } finally {
    await running.stop();
  }
}

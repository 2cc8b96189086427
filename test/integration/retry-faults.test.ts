import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultyServers } from "../support/faulty-servers.ts";
import { seededRandom } from "../support/random.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { inScope } from "../support/with-proxy.ts";

const SAFE = "/test.v1.Test/Get";
const UNSAFE = "/test.v1.Test/Put";
const CALLS = 1000;
const AT_ONCE = 20;

for (const [name, retry] of [
  ["retries", { attempts: 4, perTryTimeout: "60ms", backoff: { base: "1ms", max: "5ms" } }],
  ["hedging", { attempts: 3, hedgeAfter: "15ms", perTryTimeout: "200ms" }],
] as const) {
  test(`${name}: under ${CALLS} random faults no unsafe call runs twice, every call ends once, and nothing is left`, async () => {
    await inScope(async (scope) => {
      const seed = 20_261_129;
      const faulty = new FaultyServers(seededRandom(seed));
      const endpoints = [await faulty.start(scope), await faulty.start(scope), await faulty.start(scope)];
      const sidecar = await scope.sidecar({
        log: { level: "info", access: "none" },
        upstreams: {
          up: {
            discovery: "static",
            endpoints,
            outlierDetection: { mode: "disabled" },
            retry: {
              ...retry,
              budget: "100%",
              statuses: ["unavailable", "internal"],
              idempotentMethods: [SAFE.slice(1)],
            },
          },
        },
      });
      const caller = await connectPeer(scope, sidecar.outbound);
      const answers = new Map<string, string>();
      const one = async (at: number): Promise<void> => {
        const path = at % 2 === 0 ? SAFE : UNSAFE;
        const id = `${path} ${at}`;
        const head = callHead("up", ["x-call", id], ["grpc-timeout", "400m"]).map(
          ([field, value]) => [field, field === ":path" ? path : value] as const,
        );
        const status = await ask(caller, head);
        assert.ok(!answers.has(id));
        answers.set(id, status);
      };
      for (let from = 0; from < CALLS; from += AT_ONCE)
        await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => one(from + at)));
      assert.equal(answers.size, CALLS);
      const twice = [...faulty.ran].filter(([id, times]) => id.startsWith(UNSAFE) && times > 1);
      assert.deepEqual(twice, [], `unsafe calls ran more than once, seed ${seed}`);
      const again = [...faulty.ran].filter(([id, times]) => id.startsWith(SAFE) && times > 1).length;
      assert.ok(again > CALLS / 20, `${again} safe calls ran more than once`);
      const good = (path: string) =>
        [...answers].filter(([id, status]) => id.startsWith(path) && status === "0").length;
      assert.ok(good(SAFE) > good(UNSAFE), `${good(SAFE)} safe and ${good(UNSAFE)} unsafe calls were answered`);
      await sidecar.rest();
    });
  });
}

async function ask(caller: RawPeer, head: Parameters<RawPeer["request"]>[0]): Promise<string> {
  const stream = caller.request(head);
  caller.data(stream, message("ask"), true);
  const answer = await caller.answer(stream, 20_000);
  if (answer.reset !== undefined && answer.trailers === undefined) return `reset ${answer.reset}`;
  const last = answer.trailers ?? answer.head;
  assert.equal(last.filter(({ name }) => name === "grpc-status").length, 1, "one status");
  return fieldOf(last, "grpc-status") ?? "";
}

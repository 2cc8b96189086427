import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { seededRandom } from "../support/random.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "../support/scripted-server.ts";
import { inScope } from "../support/with-proxy.ts";

const SAFE = "/test.v1.Test/Get";
const UNSAFE = "/test.v1.Test/Put";
const CALLS = 1000;
const AT_ONCE = 20;

const reset =
  (code: ErrorCode): Act =>
  (peer, stream) =>
    peer.reset(stream, code);

/** What befalls a request that runs, each as often as it stands here. */
const RUNS: readonly Act[] = [
  inTrailers(0, ["yes"]),
  inTrailers(0, ["yes"]),
  trailersOnly(14),
  inTrailers(14),
  inTrailers(14, ["part"]),
  inTrailers(0),
  trailersOnly(5),
  trailersOnly(14, ["grpc-retry-pushback-ms", "-1"]),
  trailersOnly(14, ["grpc-retry-pushback-ms", "5"]),
  reset(ErrorCode.INTERNAL_ERROR),
  reset(ErrorCode.CANCEL),
  silence,
  (peer, stream) => setTimeout(() => inTrailers(0, ["late"])(peer, stream), 30),
  (peer) => peer.destroy(),
];

for (const [name, retry] of [
  ["retries", { attempts: 4, perTryTimeout: "60ms", backoff: { base: "1ms", max: "5ms" } }],
  ["hedging", { attempts: 3, hedgeAfter: "15ms", perTryTimeout: "200ms" }],
] as const) {
  test(`${name}: under ${CALLS} random faults no unsafe call runs twice, every call ends once, and nothing is left`, async () => {
    await inScope(async (scope) => {
      const seed = 20_261_129;
      const random = seededRandom(seed);
      const ran = new Map<string, number>();
      const leaving = new Set<RawPeer>();
      const highest = new Map<RawPeer, number>();
      const act: Act = (peer, stream) => {
        const request = peer.received.find((heard) => heard.kind === "headers" && heard.stream === stream);
        const id = request?.kind === "headers" ? (fieldOf(request.fields, "x-call") ?? "") : "";
        // What came after a GOAWAY is not looked at, as it says.
        if (leaving.has(peer)) return;
        if (random() < 0.1) {
          // A GOAWAY says it of every stream above its last one, so that must be the highest that has run.
          const last = highest.get(peer) ?? 0;
          if (stream > last && random() < 0.5) {
            leaving.add(peer);
            peer.goaway(last);
          } else peer.reset(stream, ErrorCode.REFUSED_STREAM);
          return;
        }
        highest.set(peer, Math.max(highest.get(peer) ?? 0, stream));
        ran.set(id, (ran.get(id) ?? 0) + 1);
        RUNS[Math.floor(random() * RUNS.length)]?.(peer, stream);
      };
      const servers = [
        await ScriptedServer.start(scope, act),
        await ScriptedServer.start(scope, act),
        await ScriptedServer.start(scope, act),
      ];
      const sidecar = await scope.sidecar({
        log: { level: "info", access: "none" },
        upstreams: {
          up: {
            discovery: "static",
            endpoints: servers.map(({ address }) => address),
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
      const twice = [...ran].filter(([id, times]) => id.startsWith(UNSAFE) && times > 1);
      assert.deepEqual(twice, [], `unsafe calls ran more than once, seed ${seed}`);
      const again = [...ran].filter(([id, times]) => id.startsWith(SAFE) && times > 1).length;
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

import assert from "node:assert/strict";
import { test } from "node:test";
import { balancers } from "../../src/cluster/balancers/index.ts";
import { offered } from "../runtime/offered.ts";
import { FaultyServers } from "../support/faulty-servers.ts";
import { seededRandom } from "../support/random.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { inScope, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";

const SAFE = "/test.v1.Test/Get";
const UNSAFE = "/test.v1.Test/Put";
const CALLS = 240;
const AT_ONCE = 24;
/** Milliseconds: the deadline of each call. A machine that is busy may be as late as `SLACK`. */
const DEADLINE = 400;
const SLACK = 20_000;

/** Chooses among policies at random. */
class Dice {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  of<T>(...choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] ?? assert.fail("nothing to choose from");
  }

  /** Some of them, in their order. */
  some<T>(choices: readonly T[]): T[] {
    const chosen = choices.filter(() => this.random() < 0.7);
    return chosen.length > 0 ? chosen : [this.of(...choices)];
  }
}

/** Any combination of what can be done to the calls of an upstream. */
function anyConfig(dice: Dice, endpoints: readonly string[], copies: readonly string[]): SidecarConfig {
  const retry = {
    ...dice.of({}, { perTryTimeout: "60ms" }, { hedgeAfter: "15ms" }, { hedgeAfter: "15ms", perTryTimeout: "100ms" }),
    attempts: dice.of(2, 4),
    backoff: { base: "1ms", max: "5ms" },
    budget: dice.of("20%", "100%"),
    statuses: dice.of(["unavailable"], ["unavailable", "internal", "resourceExhausted"]),
    idempotentMethods: [SAFE.slice(1)],
  };
  const circuitBreaker = {
    minimumRequests: dice.of(2, 20),
    openFor: dice.of("20ms", "200ms"),
    scope: dice.of("upstream", "method"),
    ...dice.of({}, { fallback: { status: "aborted" } }, { fallback: { upstream: "spare" } }),
  };
  const balancer = dice.of(...Object.keys(balancers));
  const up = {
    discovery: "static",
    balancer,
    endpoints: dice.some(endpoints),
    ...dice.of({}, { retry }, { retry }),
    ...dice.of({}, { circuitBreaker }),
    ...dice.of(
      {},
      { limits: { maxConcurrent: dice.of(4, 16), ...dice.of({}, { maxQueue: 8, maxQueueTime: "50ms" }) } },
    ),
    ...dice.of(
      {},
      { adaptiveConcurrency: { initial: dice.of(4, 16), min: 2, max: 20, per: dice.of("all", "method") } },
    ),
    ...dice.of({}, { admissionControl: { minimumRequests: 5, acceptRate: "40%" } }),
    ...dice.of({}, { timeout: "200ms" }),
    ...dice.of({}, { outlierDetection: { mode: "disabled" } }, { outlierDetection: { baseEjection: "50ms" } }),
    ...dice.of({}, { failover: ["spare"] }),
  };
  const rates = { name: "rate", direction: "outbound", limit: dice.of("200/s", "1000/s"), burst: 50 };
  const delay = { name: "late", match: { upstream: "up" }, percentage: "20%", delay: "20ms" };
  const abort = { name: "gone", match: { upstream: "up" }, percentage: "10%", abort: "unavailable" };
  return {
    log: { level: "warn", access: "none" },
    upstreams: {
      up,
      spare: { discovery: "static", endpoints: endpoints.slice(0, 1) },
      copy: { discovery: "static", endpoints: copies },
    },
    routes: dice.of([], [{ name: "copied", upstream: "up", mirror: { to: "copy", share: dice.of("50%", "100%") } }]),
    rateLimits: dice.of([], [], [rates]),
    faults: dice.of([], [delay], [delay, abort]),
    deadlines: { refuseHopeless: dice.of("never", "onRequest") },
  };
}

for (const seed of [1, 2, 3, 4]) {
  test(`policies together, seed ${seed}: nothing unsafe runs twice, every call ends once and in time, and nothing is left`, async () => {
    await inScope(async (scope) => {
      const dice = new Dice(20_261_130 + seed);
      const [service, mirror] = [new FaultyServers(dice.random), new FaultyServers(dice.random)];
      const endpoints = [await service.start(scope), await service.start(scope), await service.start(scope)];
      const copies = [await mirror.start(scope)];
      const config = () => anyConfig(dice, endpoints, copies);
      const sidecar = await scope.sidecar(config());
      const answers = await callAll(scope, sidecar, async () => {
        const { kind } = await sidecar.runtime.apply(offered(sidecar, config()));
        assert.equal(kind, "applied");
      });

      for (const { ran } of [service, mirror]) {
        const twice = [...ran].filter(([id, times]) => id.startsWith(UNSAFE) && times > 1);
        assert.deepEqual(twice, [], "unsafe calls ran more than once");
      }
      assert.equal(answers.size, CALLS);
      await sidecar.rest();
      assert.deepEqual(held(sidecar), []);
      await assertCounts(sidecar);
    });
  });
}

/** Makes the calls, some at once, with a reload among each lot; by their ids what each came to. */
async function callAll(scope: Scope, sidecar: Sidecar, reload: () => Promise<void>): Promise<Map<string, string>> {
  const caller = await connectPeer(scope, sidecar.outbound);
  const answers = new Map<string, string>();
  const one = async (at: number): Promise<void> => {
    const path = at % 2 === 0 ? SAFE : UNSAFE;
    const id = `${path} ${at}`;
    const begun = sidecar.clock.now();
    const status = await ask(caller, path, id, at % 11 === 10);
    assert.ok(!answers.has(id));
    assert.ok(sidecar.clock.now() - begun < DEADLINE + SLACK, `${id} took ${sidecar.clock.now() - begun} ms`);
    answers.set(id, status);
  };
  for (let from = 0; from < CALLS; from += AT_ONCE) {
    const calls = Array.from({ length: AT_ONCE }, (_, at) => one(from + at));
    await Promise.all([...calls, reload()]);
  }
  return answers;
}

/** Makes a call; what it came to. `gives`: the caller gives up before there is an answer. */
async function ask(caller: RawPeer, path: string, id: string, gives: boolean): Promise<string> {
  const head = callHead("up", ["x-call", id], ["grpc-timeout", `${DEADLINE}m`]);
  const stream = caller.request(head.map(([field, value]) => [field, field === ":path" ? path : value] as const));
  caller.data(stream, message("ask"), true);
  if (gives) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    caller.reset(stream, 8);
    return "given up";
  }
  const answer = await caller.answer(stream, SLACK);
  if (answer.reset !== undefined && answer.trailers === undefined) return `reset ${answer.reset}`;
  const last = answer.trailers ?? answer.head;
  assert.equal(last.filter(({ name }) => name === "grpc-status").length, 1, "one status");
  return fieldOf(last, "grpc-status") ?? "";
}

/** Places that somebody still has. */
function held({ runtime }: Sidecar): string[] {
  const found: string[] = [];
  const note = (count: number, what: string): void => void (count === 0 || found.push(`${count} ${what}`));
  for (const { upstream, calls, breakers } of runtime.upstreams.policies.all()) {
    note(calls?.current ?? 0, `calls under maxConcurrent of ${upstream}`);
    note(calls?.waiting ?? 0, `calls in the line of ${upstream}`);
    for (const [method, breaker] of breakers?.all() ?? [])
      if (Reflect.get(breaker, "probing") === true) found.push(`the probe of the breaker of ${upstream} ${method}`);
  }
  for (const { limit } of runtime.services.concurrency.all())
    for (const { limit: learned } of limit.limits()) note(learned.inFlight, `calls under the limit of ${limit.name}`);
  const waiting: unknown = Reflect.get(runtime.services.faults, "waiting");
  assert.ok(waiting instanceof Map);
  note(waiting.size, "calls are delayed");
  for (const copying of runtime.upstreams.routing.allMirrors()) {
    const room: unknown = Reflect.get(copying, "room");
    note(Number(Reflect.get(Object(room), "calls")), "copies under way");
  }
  return found;
}

/** As many calls have ended as began, by every count. */
async function assertCounts(sidecar: Sidecar): Promise<void> {
  const metrics = await sidecar.metrics();
  const sum = (name: string): number =>
    (metrics.get(name)?.samples ?? [])
      .filter(({ labels }) => labels.direction === "outbound")
      .reduce((total, { value }) => total + value, 0);
  assert.equal(sum("outrigger_calls_started_total"), CALLS);
  assert.equal(sum("outrigger_calls_handled_total"), CALLS);
  assert.equal(sum("outrigger_calls_in_flight"), 0);
}

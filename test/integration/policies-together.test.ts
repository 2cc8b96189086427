import assert from "node:assert/strict";
import { test } from "node:test";
import { offered } from "../runtime/offered.ts";
import { anyPolicies, Dice } from "../support/any-policies.ts";
import { FaultyServers } from "../support/faulty-servers.ts";
import { callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";

const SAFE = "/test.v1.Test/Get";
const UNSAFE = "/test.v1.Test/Put";
const CALLS = 240;
const AT_ONCE = 24;
/** Milliseconds: the deadline of each call. A machine that is busy may be as late as `SLACK`. */
const DEADLINE = 400;
const SLACK = 20_000;

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`policies together, seed ${seed}: nothing unsafe runs twice, every call ends once and in time, nothing is left, and then all is well`, async () => {
    await inScope(async (scope) => {
      const dice = new Dice(20_261_130 + seed);
      const [service, mirror] = [new FaultyServers(dice.random), new FaultyServers(dice.random)];
      const endpoints = [await service.start(scope), await service.start(scope), await service.start(scope)];
      const copies = [await mirror.start(scope)];
      let config: SidecarConfig = {};
      const next = (): SidecarConfig => {
        config = anyPolicies(dice, { endpoints, copies, idempotent: SAFE.slice(1) });
        return config;
      };
      const sidecar = await scope.sidecar(next());
      const answers = await callAll(scope, sidecar, async () => {
        const { kind } = await sidecar.runtime.apply(offered(sidecar, next()));
        assert.notEqual(kind, "refused");
      });

      for (const { ran } of [service, mirror]) {
        const twice = [...ran].filter(([id, times]) => id.startsWith(UNSAFE) && times > 1);
        assert.deepEqual(twice, [], "unsafe calls ran more than once");
      }
      assert.equal(answers.size, CALLS);
      await sidecar.rest();
      await eventually(
        () => held(sidecar).length === 0,
        () => held(sidecar).join(", "),
      );
      await assertCounts(sidecar);

      service.healed = mirror.healed = true;
      await assertWell(scope, sidecar, config);
    });
  });
}

/** With servers that answer, and nothing but what the last configuration makes of them, calls are answered again: none of its limits has lost a place. */
async function assertWell(scope: Scope, sidecar: Sidecar, last: SidecarConfig): Promise<void> {
  const declared = Object.hasOwn(last.upstreams ?? {}, "up");
  const upstreams = Object.fromEntries(
    Object.entries(last.upstreams ?? {}).map(([name, settings]) => [name, unhurried(Object(settings))]),
  );
  const calm = { ...last, upstreams, faults: [], rateLimits: [], routes: [] };
  assert.notEqual((await sidecar.runtime.apply(offered(sidecar, calm))).kind, "refused");
  // What was learned of bad times is over after a while.
  sidecar.clock.jump(60_000);
  const caller = await connectPeer(scope, sidecar.outbound);
  const one = (at: number) => ask(caller, UNSAFE, `${UNSAFE} well ${at}`, false, declared ? "up" : "spare", SLACK);
  let calls = 0;
  const row = async (): Promise<boolean> => {
    for (let at = 0; at < 10; at++) if ((await one(calls++)) !== "0") return false;
    return true;
  };
  await eventually(
    row,
    () => `${calls} calls, and no ten of them in a row were answered with ${JSON.stringify(calm)}`,
    SLACK,
  );
  await sidecar.rest();
  assert.deepEqual(held(sidecar), []);
}

/** Makes the calls, some at once, with a reload among each lot; by their ids what each came to. */
async function callAll(scope: Scope, sidecar: Sidecar, reload: () => Promise<void>): Promise<Map<string, string>> {
  const caller = await connectPeer(scope, sidecar.outbound);
  const answers = new Map<string, string>();
  const one = async (at: number): Promise<void> => {
    const path = at % 2 === 0 ? SAFE : UNSAFE;
    const id = `${path} ${at}`;
    const begun = sidecar.clock.now();
    const status = await ask(caller, path, id, at % 11 === 10, at % 13 === 12 ? "spare" : "up");
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
async function ask(
  caller: RawPeer,
  path: string,
  id: string,
  gives: boolean,
  upstream: string,
  deadline = DEADLINE,
): Promise<string> {
  const user = String(id.length % 3);
  const head = callHead(upstream, ["x-call", id], ["x-user", user], ["grpc-timeout", `${deadline}m`]);
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
      if (Reflect.get(breaker, "probing") !== undefined)
        found.push(`the probe of the breaker of ${upstream} ${method}`);
  }
  for (const { limit } of runtime.services.concurrency.all())
    for (const { limit: learned } of limit.limits()) note(learned.inFlight, `calls under the limit of ${limit.name}`);
  const waiting: unknown = Reflect.get(runtime.services.faults, "waiting");
  assert.ok(waiting instanceof Map);
  note(waiting.size, "calls are delayed");
  for (const copying of runtime.upstreams.routing.allMirrors()) {
    const room: unknown = Reflect.get(copying, "room");
    note(Number(Reflect.get(Object(room), "calls")), "copies under way");
    note(Number(Reflect.get(Object(room), "octets")), "octets of copies");
  }
  for (const cluster of runtime.upstreams.clusters())
    for (const { label, inFlight, pool, outlier } of cluster.endpoints) {
      note(inFlight, `attempts at ${label} of ${cluster.name}`);
      note(pool.waiting, `calls in the line of ${label} of ${cluster.name}`);
      if (outlier.trying) found.push(`the call that tries ${label} of ${cluster.name}`);
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
  // Those of an upstream that a reload has taken out went with it.
  const started = sum("outrigger_calls_started_total");
  assert.ok(started > 0 && started <= CALLS, `${started} have begun`);
  assert.equal(sum("outrigger_calls_handled_total"), started);
  for (const gauge of ["outrigger_calls_in_flight", "outrigger_limit_current", "outrigger_concurrency_in_flight"])
    assert.equal(metrics.get(gauge)?.samples.reduce((total, { value }) => total + value, 0) ?? 0, 0, gauge);
}

/** Without what ends a call, or judges it, for having taken long: the machine may be busy. */
function unhurried(settings: object): object {
  return without(settings, "timeout", "idleTimeout", "streams", "slowCall", "slowRate");
}

function without(settings: object, ...keys: readonly string[]): object {
  const kept = Object.entries(settings).filter(([name]) => !keys.includes(name));
  return Object.fromEntries(
    kept.map(([name, value]) => [name, name === "circuitBreaker" ? without(Object(value), ...keys) : value]),
  );
}

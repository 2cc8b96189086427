import assert from "node:assert/strict";
import { test } from "node:test";
import { adaptiveConcurrency } from "../../src/filters/adaptive-concurrency.ts";
import { FilterChain } from "../../src/filters/chain.ts";
import { Call, type Failure, type Outcome } from "../../src/http/call.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import type { ConcurrencyOptions } from "../../src/limits/concurrency-limit.ts";
import { ConcurrencyLimits } from "../../src/limits/concurrency-limits.ts";
import { describeConcurrency } from "../../src/limits/describe-concurrency.ts";
import { FakeClock } from "../support/clock.ts";
import { seededRandom } from "../support/random.ts";

const headers = new HeaderTable();
const defaults: ConcurrencyOptions = {
  initial: 10,
  min: 4,
  max: 100,
  per: "all",
  exempt: [],
  criticality: undefined,
};
const ok: Outcome = { status: 0, reason: undefined, origin: "app", detail: undefined };

function world(options: Partial<ConcurrencyOptions> = {}) {
  const clock = new FakeClock();
  const limits = new ConcurrencyLimits(() => clock.now(), seededRandom(1));
  const apply = (more: Partial<ConcurrencyOptions> | undefined): void =>
    limits.apply("inbound", new Map([["user", more && { ...defaults, ...options, ...more }]]));
  apply({});
  const chain = new FilterChain([adaptiveConcurrency(limits.of("inbound", "user"))]);
  const call = (method = "a.A/M", criticality?: string): Call => {
    const fields: [string, string][] = criticality === undefined ? [] : [["x-criticality", criticality]];
    const path = `/${method}`;
    return new Call("inbound", "1.2.3.4:5", headers.head([[":path", path], ...fields]), path, true, clock.now());
  };
  const begin = (made: Call): Failure | undefined => {
    const verdict = chain.onRequest(made);
    assert.ok(!(verdict instanceof Promise));
    if (verdict !== undefined) end(made, { ...ok, status: verdict.status, reason: verdict.reason, origin: "proxy" });
    return verdict;
  };
  const end = (made: Call, outcome = ok): void => chain.onFinish(made, outcome, clock.now());
  /** Begins so many calls that do not end; how many may. */
  const hold = (count: number, method?: string, criticality?: string): Call[] => {
    const held: Call[] = [];
    for (let at = 0; at < count; at++) {
      const made = call(method, criticality);
      if (begin(made) === undefined) held.push(made);
    }
    return held;
  };
  /** Calls of so many milliseconds, one after the other. */
  const run = (count: number, ms: number, outcome = ok): void => {
    for (let at = 0; at < count; at++) {
      const made = call();
      begin(made);
      clock.advance(ms);
      end(made, outcome);
    }
  };
  const described = () => [...describeConcurrency(limits)];
  return { limits, apply, begin, call, end, hold, run, described };
}

test("calls beyond the limit are refused with what is known, and their end frees no place", () => {
  const { hold, begin, call, end, described } = world();
  const held = hold(15);
  assert.equal(held.length, 10);
  assert.deepEqual(begin(call()), {
    reason: "CONCURRENCY",
    status: 8,
    detail: "10 calls of user are under way; limit 10: no latency is known yet",
    unprocessed: true,
    fields: [["grpc-retry-pushback-ms", "1"]],
  });
  assert.equal(described()[0]?.inFlight, 10);
  for (const made of held) end(made);
  assert.equal(described()[0]?.inFlight, 0);
  assert.equal(described()[0]?.refused, 6);
});

test("sheddable calls are refused first, critical ones last", () => {
  const { hold } = world({ criticality: "x-criticality" });
  assert.equal(hold(20, "a.A/M", "sheddable").length, 7);
  assert.equal(hold(20).length, 2);
  assert.equal(hold(20, "a.A/M", "critical").length, 1);
});

test("where nobody configured criticality it means nothing", () => {
  const { hold } = world();
  assert.equal(hold(20, "a.A/M", "sheddable").length, 10);
});

test("each method has a limit of its own, if asked for, and methods that are made up share one", () => {
  const { hold, described } = world({ per: "method" });
  assert.equal(hold(20, "a.A/One").length, 10);
  assert.equal(hold(20, "a.A/Two").length, 10);
  for (let at = 0; at < 300; at++) hold(1, `made.Up/M${at}`);
  assert.ok(described().length <= 201, `${described().length}`);
});

test("exempt methods and health checks are neither counted nor refused", () => {
  const { hold, described } = world({ exempt: ["a.A/Watch"] });
  assert.equal(hold(50, "a.A/Watch").length, 50);
  assert.equal(hold(50, "grpc.health.v1.Health/Watch").length, 50);
  assert.equal(hold(50).length, 10);
  assert.equal(described()[0]?.inFlight, 10);
});

test("how fast an application says that it is in trouble, or a proxy that it cannot be reached, is not its latency", () => {
  for (const outcome of [
    { ...ok, status: 14 },
    { ...ok, status: 8 },
    { ...ok, status: 14, reason: "CONNECT_REFUSED", origin: "proxy" },
  ] as const satisfies readonly Outcome[]) {
    const { run, described } = world();
    run(100, 5, outcome);
    assert.equal(described()[0]?.why, "limit 10: no latency is known yet");
  }
});

test("answers of the application are its latency, whatever they say, and so are deadlines that passed", () => {
  for (const outcome of [
    ok,
    { ...ok, status: 5 },
    { ...ok, status: 4, reason: "DEADLINE_CLIENT", origin: "proxy" },
  ] as const satisfies readonly Outcome[]) {
    const { run, described } = world();
    run(100, 5, outcome);
    assert.match(described()[0]?.why ?? "", /lowest latency 5 ms, now 5 ms/);
  }
});

test("what was learned stays over a reload; without the setting there is no limit, and places that are held come back", () => {
  const { hold, run, end, apply, described, limits } = world();
  run(100, 5);
  apply({ max: 50 });
  assert.match(described()[0]?.why ?? "", /lowest latency 5 ms/);
  const held = hold(5);
  apply(undefined);
  assert.deepEqual(described(), []);
  assert.equal(hold(500).length, 500);
  for (const made of held) end(made);
  limits.apply("inbound", new Map());
  assert.equal(hold(500).length, 500);
});

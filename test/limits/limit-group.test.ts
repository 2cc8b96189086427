import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Call, type Failure } from "../../src/http/call.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { describeLimit } from "../../src/limits/describe-limit.ts";
import type { RateLimitOptions } from "../../src/limits/rate-limit.ts";
import { RateLimits } from "../../src/limits/rate-limits.ts";
import { good } from "../config/load-text.ts";
import { FakeClock } from "../support/clock.ts";

const headers = new HeaderTable();

interface CallOptions {
  readonly method?: string;
  readonly peer?: string;
  readonly identity?: string;
  readonly upstream?: string;
  readonly metadata?: readonly (readonly [string, string])[];
}

function call(options: CallOptions = {}): Call {
  const { method = "user.v1.UserService/GetUser", peer = "10.0.0.1:4000", metadata = [] } = options;
  const path = `/${method}`;
  const head = headers.head([[":method", "POST"], [":path", path], ...metadata]);
  const made = new Call("inbound", peer, head, path, true, 0);
  made.identity = options.identity;
  made.upstream = options.upstream ?? "user";
  return made;
}

/** The limits of a `rateLimits` block of inbound calls. */
function limitsOf(block: string): readonly RateLimitOptions[] {
  return good(`service: { name: user, address: 127.0.0.1:50051 }\nrateLimits:\n${block}`).rateLimits;
}

function world(block: string) {
  const clock = new FakeClock();
  const limits = new RateLimits(
    clock,
    () => clock.now(),
    pino({ enabled: false }),
    () => 0,
  );
  limits.apply(limitsOf(block));
  const check = (options?: CallOptions): Failure | undefined => {
    const verdict = limits.groups.inbound.check(call(options));
    assert.ok(!(verdict instanceof Promise), "decided at once");
    return verdict;
  };
  /** How many of so many calls pass. */
  const pass = (count: number, options?: CallOptions): number => {
    let passed = 0;
    for (let at = 0; at < count; at++) if (check(options) === undefined) passed++;
    return passed;
  };
  return { clock, limits, check, pass };
}

const identity = "spiffe://mesh/ns/default/dc/dc1/svc/orders";

for (const [key, one, other] of [
  ["method", { method: "user.v1.UserService/GetUser" }, { method: "user.v1.UserService/ListUsers" }],
  ["upstream", { upstream: "orders" }, { upstream: "billing" }],
  ["identity", { identity }, { identity: `${identity}-2` }],
  ["identity", { identity }, {}],
  ["remote.address", { peer: "10.0.0.1:4000" }, { peer: "10.0.0.2:4000" }],
  ["remote.address", { peer: "[2001:db8::1]:4000" }, { peer: "[2001:db8::2]:4000" }],
  ["metadata.x-tenant", { metadata: [["x-tenant", "a"]] }, { metadata: [["x-tenant", "b"]] }],
  ["metadata.x-tenant", { metadata: [["x-tenant", "a"]] }, {}],
] as const satisfies readonly (readonly [string, CallOptions, CallOptions])[]) {
  test(`by ${key}: ${JSON.stringify(one)} and ${JSON.stringify(other)} have the limit each for itself`, () => {
    const { pass } = world(`  - { name: a, key: [${key}], limit: 10/m }\n`);
    assert.equal(pass(20, one), 10);
    assert.equal(pass(20, other), 10);
  });
}

test("connections of one address are one caller, and what a call lacks is one key", () => {
  const { pass } = world("  - { name: a, key: [remote.address, metadata.x-tenant], limit: 10/m }\n");
  assert.equal(pass(6, { peer: "10.0.0.1:4000" }), 6);
  assert.equal(pass(6, { peer: "10.0.0.1:4001" }), 4);
});

test("parts of a key do not run into each other", () => {
  const { pass } = world("  - { name: a, key: [metadata.a, metadata.b], limit: 10/m }\n");
  assert.equal(pass(20, { metadata: [["a", "1"], ["b", "23"]] }), 10); // biome-ignore format: pairs
  assert.equal(pass(20, { metadata: [["a", "12"], ["b", "3"]] }), 10); // biome-ignore format: pairs
});

test("a key of any length is kept in a fixed size", () => {
  const { pass } = world("  - { name: a, key: [metadata.x], limit: 10/m }\n");
  const long = "x".repeat(60_000);
  assert.equal(pass(20, { metadata: [["x", `${long}1`]] }), 10);
  assert.equal(pass(20, { metadata: [["x", `${long}2`]] }), 10);
});

test("a limit is for the calls that it matches", () => {
  const match = "{ method: user.v1.UserService/*, metadata: { x-tier: free } }";
  const { pass } = world(`  - { name: a, match: ${match}, limit: 10/m }\n`);
  const free = [["x-tier", "free"]] as const;
  assert.equal(pass(20, { metadata: free }), 10);
  assert.equal(pass(20, { metadata: [["x-tier", "paid"]] }), 20);
  assert.equal(pass(20, {}), 20);
  assert.equal(pass(20, { method: "user.v1.UserServices/GetUser", metadata: free }), 20);
});

test("health checks are limited only by who names them", () => {
  const method = "grpc.health.v1.Health/Check";
  assert.equal(world("  - { name: a, limit: 10/m }\n").pass(20, { method }), 20);
  assert.equal(world(`  - { name: a, match: { method: ${method} }, limit: 10/m }\n`).pass(20, { method }), 10);
});

test("a call is charged to all of its limits or to none", () => {
  const { pass, limits } = world(
    "  - { name: wide, limit: 100/m }\n  - { name: narrow, key: [method], limit: 10/m }\n",
  );
  assert.equal(pass(1000, { method: "a.A/One" }), 10);
  for (let method = 0; method < 9; method++) assert.equal(pass(20, { method: `a.A/M${method}` }), 10);
  assert.equal(pass(20, { method: "a.A/Last" }), 0);
  const [wide, narrow] = [...limits.all()].map(describeLimit);
  assert.deepEqual([wide?.refused, narrow?.refused], [20 + 10, 990 + 80]);
});

test("a limit in shadow mode refuses nothing, and counts what it would have", () => {
  const { pass, limits } = world("  - { name: a, limit: 10/m, mode: shadow }\n");
  assert.equal(pass(25), 25);
  assert.deepEqual([...limits.all()].map(describeLimit), [
    {
      name: "a",
      direction: "inbound",
      mode: "shadow",
      limit: "10/m, 10 at once",
      store: "memory",
      storeUp: true,
      keys: 1,
      leased: 0,
      refused: 15,
    },
  ]);
});

test("a refusal names the limit, and says when to come again in the words of gRPC and of HTTP", () => {
  const { check, pass } = world("  - { name: per-caller, limit: 10/m, burst: 20 }\n");
  assert.equal(pass(20), 20);
  assert.deepEqual(check({ identity }), {
    reason: "RATE_LIMIT",
    status: 8,
    detail: "the rate limit per-caller of 10/m, 20 at once is used up; again in 6000ms",
    unprocessed: true,
    fields: [
      ["grpc-retry-pushback-ms", "6000"],
      ["retry-after", "6"],
      ["x-ratelimit-limit", "20"],
      ["x-ratelimit-remaining", "0"],
      ["x-ratelimit-reset", "6"],
    ],
  });
});

test("a caller without an identity is told nothing of the limit, with headers: all it is, with headers: pushback nobody is", () => {
  const told = (headers: string, options: CallOptions): number => {
    const { check, pass } = world(`  - { name: a, limit: 10/m, headers: ${headers} }\n`);
    assert.equal(pass(10), 10);
    const { fields = [] } = check(options) ?? {};
    assert.deepEqual(fields[0], ["grpc-retry-pushback-ms", "6000"]);
    return fields.length;
  };
  assert.deepEqual([told("known", {}), told("known", { identity })], [1, 5]);
  assert.deepEqual([told("all", {}), told("all", { identity })], [5, 5]);
  assert.deepEqual([told("pushback", {}), told("pushback", { identity })], [1, 1]);
});

test("over a reload a limit keeps what was used of it, and goes on with another amount", () => {
  const { pass, limits, clock } = world(
    "  - { name: a, key: [method], limit: 10/m }\n  - { name: b, limit: 1000/m }\n",
  );
  assert.equal(pass(20), 10);
  limits.apply(limitsOf("  - { name: b, limit: 500/m }\n  - { name: a, key: [method], limit: 10/m, mode: shadow }\n"));
  assert.equal(pass(5), 5, "in shadow mode all pass");
  limits.apply(limitsOf("  - { name: a, key: [method], limit: 10/m }\n"));
  assert.equal(pass(5), 0, "it is still used up");
  limits.apply(limitsOf("  - { name: a, key: [method], limit: 20/m, burst: 5 }\n"));
  clock.advance(60_000);
  assert.equal(pass(30), 5);
  limits.apply(limitsOf("  - { name: a, key: [remote.address], limit: 10/m }\n"));
  assert.equal(pass(20), 10, "what was counted by another key says nothing");
  limits.apply([]);
  assert.equal(pass(20), 20);
});

test("a limit that comes back by another reload goes on from what was used of it, until that would have recovered", () => {
  const daily = "  - { name: daily, key: [method], limit: 10/d, algorithm: fixedWindow }\n";
  const { pass, limits, clock } = world(`${daily}  - { name: burst, limit: 1000/m }\n`);
  assert.equal(pass(12), 10);
  limits.apply([]);
  assert.equal(pass(5), 5);
  clock.advance(3_600_000);
  limits.apply(limitsOf(daily));
  assert.equal(pass(5), 0, "a file that was wrong for a while is no new day");
  const [limit] = [...limits.all()].map(describeLimit);
  assert.equal(limit?.refused, 7);
  limits.apply([]);
  clock.advance(2 * 86_400_000);
  assert.equal(clock.pending, 0, "nothing is kept for longer than it says something");
  limits.apply(limitsOf(daily));
  assert.equal(pass(12), 10);
  limits.apply([]);
  limits.apply(limitsOf(daily.replace("[method]", "[remote.address]")));
  assert.equal(pass(12), 10, "counted by something else it is another limit");
});

test("what is kept of limits that are gone is given up at the end", async () => {
  const { limits, clock } = world("  - { name: daily, limit: 10/d, algorithm: fixedWindow }\n");
  limits.apply([]);
  assert.equal(clock.pending, 1);
  await limits.close();
  assert.equal(clock.pending, 0);
});

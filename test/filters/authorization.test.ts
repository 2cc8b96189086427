import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Authorization } from "../../src/filters/authorization.ts";
import type { AuthorizationOptions } from "../../src/filters/authorization-policy.ts";
import type { RuleOptions } from "../../src/filters/authorization-rule.ts";
import { Call } from "../../src/http/call.ts";
import { parseSpiffeId, type SpiffeId } from "../../src/identity/spiffe.ts";
import { FakeClock } from "../support/clock.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { makeCall } from "./make-call.ts";

const idOf = (service: string, domain = "test.mesh", namespace = "default"): string =>
  `spiffe://${domain}/ns/${namespace}/dc/dc1/svc/${service}`;

function parsed(text: string): SpiffeId {
  const id = parseSpiffeId(text);
  assert.ok(typeof id !== "string");
  return id;
}

function rule(name: string, more: Partial<RuleOptions> = {}): RuleOptions {
  const any = { identities: undefined, services: undefined, methods: undefined, addresses: undefined };
  return { name, mode: "enforce", metadata: new Map(), claims: new Map(), ...any, ...more };
}

function setup(options: Partial<AuthorizationOptions>) {
  const lines: unknown[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const clock = new FakeClock();
  const made = new Authorization(clock, log);
  made.own = () => parsed(idOf("up"));
  const apply = (more: Partial<AuthorizationOptions>): void =>
    made.apply({
      default: "deny",
      intentions: undefined,
      mode: "enforce",
      openCalls: "finish",
      deny: [],
      allow: [],
      ...more,
    });
  apply(options);
  const counts = (name: string) => new Map(made.all()).get(name);
  return { made, apply, counts, lines, clock };
}

interface Asked {
  readonly identity?: string;
  readonly path?: string;
  readonly metadata?: readonly PlainField[];
  readonly peer?: string;
}

function callOf({ identity, path = "/a.A/One", metadata = [], peer = "127.0.0.1:4711" }: Asked): Call {
  const { head } = makeCall(metadata, true, path);
  const call = new Call("inbound", peer, head, path, true, 1000);
  call.identity = identity;
  return call;
}

/** The reason, "" where the call is let in. */
function ask(made: Authorization, asked: Asked = {}): string {
  const verdict = made.onRequest(callOf(asked));
  return verdict?.reason ?? "";
}

test("without rules everybody may call, and nothing is counted", () => {
  const { made } = setup({});
  made.apply(undefined);
  assert.equal(ask(made), "");
  assert.deepEqual([...made.all()], []);
});

test("a call that no rule is for is decided by the default", () => {
  const { made, apply, counts } = setup({ default: "deny" });
  assert.equal(ask(made, { identity: idOf("web") }), "AUTHZ_DENIED");
  apply({ default: "allow" });
  assert.equal(ask(made), "");
  assert.deepEqual(counts("default"), { allowed: 1, denied: 1, shadowAllowed: 0, shadowDenied: 0 });
});

test("deny goes before allow", () => {
  const allow = [rule("all")];
  const deny = [rule("not-two", { methods: ["a.A/Two"] })];
  const { made } = setup({ allow, deny });
  assert.equal(ask(made), "");
  assert.equal(ask(made, { path: "/a.A/Two" }), "AUTHZ_DENIED");
});

test("a caller without an identity is meant by no rule that asks for one, whether it allows or denies", () => {
  const all = ["spiffe://*/ns/*/dc/*/svc/*"];
  const { made, apply } = setup({ default: "allow", deny: [rule("all", { identities: all })] });
  assert.equal(ask(made), "");
  assert.equal(ask(made, { identity: idOf("web") }), "AUTHZ_DENIED");
  apply({ allow: [rule("all", { services: ["*"] })] });
  assert.equal(ask(made, { identity: idOf("web") }), "");
  assert.notEqual(ask(made), "");
});

test("NO_IDENTITY is for those who would only have to say who they are", () => {
  const { made } = setup({ allow: [rule("web", { services: ["web"], methods: ["a.A/*"] })] });
  assert.equal(ask(made), "NO_IDENTITY");
  assert.equal(ask(made, { path: "/b.B/One" }), "AUTHZ_DENIED");
  assert.equal(ask(made, { identity: idOf("other") }), "AUTHZ_DENIED");
  assert.equal(made.onRequest(callOf({}))?.status, 16);
  assert.equal(made.onRequest(callOf({ identity: idOf("other") }))?.status, 7);
});

test("a service is one of the own trust domain and namespace; another's is meant by its id", () => {
  const { made, apply } = setup({ allow: [rule("web", { services: ["web-*"] })] });
  assert.equal(ask(made, { identity: idOf("web-1") }), "");
  assert.equal(ask(made, { identity: idOf("web") }), "AUTHZ_DENIED");
  assert.equal(ask(made, { identity: idOf("web-1", "partner.example") }), "AUTHZ_DENIED");
  assert.equal(ask(made, { identity: idOf("web-1", "test.mesh", "other") }), "AUTHZ_DENIED");
  assert.equal(ask(made, { identity: "spiffe://test.mesh/web-1" }), "AUTHZ_DENIED");
  apply({ allow: [rule("web", { services: ["web-*"], identities: [idOf("web-1", "partner.example")] })] });
  assert.equal(ask(made, { identity: idOf("web-1", "partner.example") }), "");
  assert.equal(ask(made, { identity: idOf("web-1") }), "");
});

test("services are meant beside who this sidecar is by now, and stay so when its certificate expires", () => {
  const { made } = setup({ allow: [rule("web", { services: ["web"] })] });
  const web = { identity: idOf("web", "new.mesh") };
  assert.equal(ask(made, web), "AUTHZ_DENIED");
  made.own = () => parsed(idOf("up", "new.mesh"));
  assert.equal(ask(made, web), "");
  made.own = () => undefined;
  assert.equal(ask(made, web), "");
});

test("a method is meant with any query behind it, and a health check by rules for all methods, too", () => {
  const { made } = setup({
    default: "allow",
    deny: [rule("one", { methods: ["a.A/One"] }), rule("health", { methods: ["grpc.health.v1.Health/*"] })],
  });
  assert.equal(ask(made, { path: "/a.A/One" }), "AUTHZ_DENIED");
  assert.equal(ask(made, { path: "/a.A/One?x=1" }), "AUTHZ_DENIED");
  assert.equal(ask(made, { path: "/a.A/OneMore" }), "");
  assert.equal(ask(made, { path: "/grpc.health.v1.Health/Check" }), "AUTHZ_DENIED");
  const all = setup({ default: "allow", deny: [rule("all", { methods: ["*"] })] });
  assert.equal(ask(all.made, { path: "/grpc.health.v1.Health/Check" }), "AUTHZ_DENIED");
});

/** Ways to write a path that an application may read as `/private/x`, or as something that is not below `/public/`. */
const detours = [
  "/public/../private/x",
  "/public/./../private/x",
  "/public/%2e%2e/private/x",
  "/public/.%2E/private/x",
  "/public/..;/private/x",
  "/public/..;a=b/private/x",
  "/public/..%2fprivate/x",
  "/public/%2e%2e%2Fprivate/x",
  "/public/..\\private/x",
  "/public/..%5cprivate/x",
  "/public//../..//private/x",
  "/public/#/../../private/x",
  "/public/#/..;a/..;b/private/x",
];

test("a path that can be read in several ways is allowed when all of them are, and denied as soon as one is", () => {
  const allowing = setup({ allow: [rule("public", { methods: ["public/*"] })] }).made;
  const denying = setup({ default: "allow", deny: [rule("private", { methods: ["private/*"] })] }).made;
  assert.equal(ask(allowing, { path: "/public/x?to=/../private" }), "");
  assert.equal(ask(denying, { path: "/public/x?to=/../private" }), "");
  for (const path of detours) {
    assert.equal(ask(allowing, { path }), "AUTHZ_DENIED", path);
    assert.equal(ask(denying, { path }), "AUTHZ_DENIED", path);
  }
  for (const path of [
    "/%70rivate/x",
    "//private/x",
    "/./private/x",
    "/private/x#public",
    "/private%2Fx",
    "/private;a=b/x",
    "/;a/private/x",
  ])
    assert.equal(ask(denying, { path }), "AUTHZ_DENIED", path);
  // A part that only looks like dots is a part as any other.
  assert.equal(ask(allowing, { path: "/public/...;/x" }), "");
  for (const path of ["/public/a;b/..c", "/public/a;b=c", "/public/a%2Fb", "/public/a%20b/%c3%a9#c"])
    assert.equal(ask(allowing, { path }), "", path);
});

test("of a field that comes twice, allow wants all values to be right and deny wants any", () => {
  const one = rule("one", { metadata: new Map([["x-tenant", "a"]]) });
  const a: PlainField = ["x-tenant", "a"];
  const b: PlainField = ["x-tenant", "b"];
  const allowed = setup({ allow: [one] }).made;
  const denied = setup({ default: "allow", deny: [one] }).made;
  const seen = (made: Authorization) =>
    [[], [a], [b], [a, b], [b, a], [a, a]].map((metadata) => ask(made, { metadata }) === "");
  assert.deepEqual(seen(allowed), [false, true, false, false, false, true]);
  assert.deepEqual(seen(denied), [true, false, true, false, false, false]);
  const any = setup({ allow: [rule("any", { metadata: new Map([["x-tenant", "*"]]) })] }).made;
  assert.deepEqual(seen(any), [false, true, true, true, true, true]);
});

test("networks of both families are told apart, and a caller without an address is in none", () => {
  const { made } = setup({ allow: [rule("near", { addresses: ["10.1.0.0/16", "fd00::/8", "192.0.2.7"] })] });
  const from = (peer: string): string => ask(made, { peer });
  for (const near of ["10.1.255.1:1", "[fd12::1]:443", "192.0.2.7:80"]) assert.equal(from(near), "", near);
  for (const far of ["10.2.0.1:1", "[fe80::1]:443", "192.0.2.8:80", "unix", "unknown"])
    assert.equal(from(far), "AUTHZ_DENIED", far);
});

test("more callers than are remembered are decided all the same", () => {
  const { made, counts } = setup({ allow: [rule("even", { services: ["s*0"], addresses: ["10.0.0.0/8"] })] });
  for (let at = 0; at < 3000; at++)
    assert.equal(ask(made, { identity: idOf(`s${at}`), peer: `10.0.0.1:${at}` }) === "", at % 10 === 0);
  assert.equal(counts("even")?.allowed, 300);
  assert.equal(counts("default")?.denied, 2700);
});

test("in shadow nothing is refused; what would be is counted, and told once in a while", async () => {
  const { made, counts, lines, clock } = setup({ mode: "shadow", allow: [rule("web", { services: ["web"] })] });
  assert.equal(ask(made), "");
  assert.equal(ask(made, { identity: idOf("web") }), "");
  assert.equal(ask(made), "");
  assert.deepEqual(counts("default"), { allowed: 0, denied: 0, shadowAllowed: 0, shadowDenied: 2 });
  assert.equal(counts("web")?.allowed, 1);
  assert.equal(lines.length, 1);
  await clock.pass(10_001);
  ask(made);
  assert.deepEqual(Reflect.get(Object(lines[1]), "calls"), 2);
});

test("a rule in shadow changes nothing and counts what it would change", () => {
  const deny = [rule("try-deny", { mode: "shadow", methods: ["a.A/One"] })];
  const allow = [rule("try-allow", { mode: "shadow", methods: ["b.B/*"] }), rule("a", { methods: ["a.A/*"] })];
  const { made, counts } = setup({ deny, allow });
  assert.equal(ask(made, { path: "/a.A/One" }), "");
  assert.equal(ask(made, { path: "/a.A/Two" }), "");
  assert.equal(ask(made, { path: "/b.B/One" }), "AUTHZ_DENIED");
  assert.deepEqual(counts("try-deny"), { allowed: 0, denied: 0, shadowAllowed: 0, shadowDenied: 1 });
  assert.deepEqual(counts("try-allow"), { allowed: 0, denied: 0, shadowAllowed: 1, shadowDenied: 0 });
});

test("a refusal names the rule in the log alone", () => {
  const { made } = setup({ default: "allow", deny: [rule("secret-name")] });
  const verdict = made.onRequest(callOf({ identity: idOf("web") }));
  assert.equal(verdict?.log, `${idOf("web")}: the rule secret-name denies it`);
  assert.doesNotMatch(verdict.detail, /secret-name/);
  assert.equal(verdict.unprocessed, false);
});

test("counts live on under a rule's name, and go with it", () => {
  const { made, apply, counts } = setup({ allow: [rule("one")] });
  ask(made);
  apply({ allow: [rule("one", { methods: ["a.A/*"] })] });
  ask(made);
  assert.equal(counts("one")?.allowed, 2);
  apply({ allow: [] });
  assert.equal(counts("one"), undefined);
});

test("calls under way are reconsidered only where that is wanted", () => {
  const { made, apply } = setup({ openCalls: "finish" });
  const call = callOf({});
  assert.equal(made.reconsider(call), undefined);
  apply({ openCalls: "end", mode: "shadow" });
  assert.equal(made.reconsider(call), undefined);
  apply({ openCalls: "end" });
  assert.equal(made.reconsider(call)?.reason, "AUTHZ_DENIED");
  apply({ openCalls: "end", allow: [rule("all")] });
  assert.equal(made.reconsider(call), undefined);
});

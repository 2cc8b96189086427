import assert from "node:assert/strict";
import { test } from "node:test";
import { loadRegex } from "../../../src/core/regex.ts";
import { readIntentions } from "../../../src/filters/intentions/intention.ts";
import { Intentions } from "../../../src/filters/intentions/intentions.ts";
import { Call } from "../../../src/http/call.ts";
import { parseSpiffeId } from "../../../src/identity/spiffe.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { makeCall } from "../make-call.ts";

const regex = await loadRegex();

const idOf = (service: string, { domain = "test.mesh", namespace = "default" } = {}): string =>
  `spiffe://${domain}/ns/${namespace}/dc/dc1/svc/${service}`;

/** An intention as Consul answers it. */
function entry(source: string, precedence: number, more: object): object {
  return {
    SourceNS: "default",
    SourceName: source,
    DestinationNS: "default",
    DestinationName: "up",
    SourceType: "consul",
    Precedence: precedence,
    ...more,
  };
}

function compiled(...list: readonly object[]): Intentions {
  const intentions = readIntentions(list);
  assert.ok(typeof intentions !== "string", JSON.stringify(intentions));
  const own = parseSpiffeId(idOf("up"));
  assert.ok(typeof own !== "string");
  return new Intentions({ intentions, byDefault: "deny", regex }, own);
}

function callOf(identity: string | undefined, path = "/a.A/One", metadata: readonly PlainField[] = []): Call {
  const { head } = makeCall(metadata, true, path);
  const call = new Call("inbound", "127.0.0.1:1", head, path, true, 0);
  call.identity = identity;
  return call;
}

function say(intentions: Intentions, identity: string | undefined, path?: string, metadata?: readonly PlainField[]) {
  return intentions.wordOn(callOf(identity, path, metadata))?.action ?? "default";
}

const allow = { Action: "allow" };
const deny = { Action: "deny" };

/** What the permissions of an intention for `web` say. */
function permitted(permissions: readonly object[], path: string, metadata?: readonly PlainField[]): string {
  return say(compiled(entry("web", 9, { Permissions: permissions })), idOf("web"), path, metadata);
}

test("the intention of the highest precedence whose source the caller is decides, in whatever order they come", () => {
  const intentions = compiled(entry("*", 8, deny), entry("web", 9, allow), entry("*", 5, allow));
  assert.equal(say(intentions, idOf("web")), "allow");
  assert.equal(say(intentions, idOf("other")), "deny");
  assert.equal(say(compiled(entry("web", 9, allow)), idOf("other")), "default");
});

test("a source is a service of the own trust domain and of its namespace", () => {
  const intentions = compiled(entry("web", 9, allow));
  assert.equal(say(intentions, idOf("web", { domain: "elsewhere.mesh" })), "default");
  assert.equal(say(intentions, idOf("web", { namespace: "team" })), "default");
  assert.equal(say(intentions, "spiffe://test.mesh/web"), "default");
  assert.equal(
    say(compiled(entry("web", 9, { ...allow, SourceNS: "*" })), idOf("web", { namespace: "team" })),
    "allow",
  );
});

test("who is no service of the mesh is denied what everybody is denied, and is allowed nothing by an intention", () => {
  for (const outsider of [undefined, "spiffe://test.mesh/web", idOf("web", { domain: "elsewhere.mesh" })]) {
    assert.equal(say(compiled(entry("other", 9, deny)), outsider), "default");
    assert.equal(say(compiled(entry("web", 9, allow), entry("*", 8, deny)), outsider), "deny");
    assert.equal(say(compiled(entry("*", 8, allow)), outsider), "default");
    assert.equal(say(compiled(entry("*", 8, deny)), outsider), "deny");
    const permissions = [
      { Action: "deny", HTTP: { PathPrefix: "/a" } },
      { Action: "allow", HTTP: { PathPrefix: "/" } },
    ];
    assert.equal(say(compiled(entry("*", 8, { Permissions: permissions })), outsider, "/a/1"), "deny");
    assert.equal(say(compiled(entry("*", 8, { Permissions: permissions })), outsider, "/b/1"), "default");
  }
});

test("a caller whose trust domain is no more the own one is still denied by its name", () => {
  assert.equal(say(compiled(entry("web", 9, deny)), idOf("web", { domain: "former.mesh" })), "deny");
});

test("a source of another cluster, or in a form that nobody knows, denies whom it may be and allows nobody", () => {
  const foreign = idOf("web", { domain: "elsewhere.mesh" });
  assert.equal(say(compiled(entry("web", 9, { ...allow, SourcePeer: "west" })), foreign), "default");
  assert.equal(say(compiled(entry("web", 9, { ...deny, SourcePeer: "west" })), foreign), "deny");
  assert.equal(say(compiled(entry("web", 9, { ...deny, SourcePeer: "west" })), idOf("web")), "default");
  const permissions = { Permissions: [{ Action: "allow", HTTP: { PathPrefix: "/" } }], SourcePeer: "west" };
  assert.equal(say(compiled(entry("web", 9, permissions)), foreign), "deny");
  assert.equal(say(compiled(entry("web", 9, { ...deny, SourceSamenessGroup: "all" })), idOf("web")), "deny");
  assert.equal(say(compiled(entry("web", 9, { ...allow, SourceSamenessGroup: "all" })), idOf("web")), "default");
});

test("the first permission that is for the call counts; without one the default does, not the next intention", () => {
  const permissions = [
    { Action: "deny", HTTP: { PathExact: "/a.A/Two" } },
    { Action: "allow", HTTP: { PathPrefix: "/a.A/" } },
  ];
  assert.equal(permitted(permissions, "/a.A/One"), "allow");
  assert.equal(permitted(permissions, "/a.A/Two"), "deny");
  const both = compiled(entry("web", 9, { Permissions: permissions }), entry("*", 8, allow));
  assert.equal(say(both, idOf("web"), "/b.B/One"), "default");
});

test("a permission has its path exact, as a prefix or as an expression for the whole of it, without the query", () => {
  const path = (HTTP: object, given: string): string => permitted([{ Action: "allow", HTTP }], given);
  assert.equal(path({ PathExact: "/a" }, "/a?b=1"), "allow");
  assert.equal(path({ PathExact: "/a" }, "/a/b"), "default");
  assert.equal(path({ PathRegex: "/a|/b" }, "/b"), "allow");
  assert.equal(path({ PathRegex: "/a" }, "/ab"), "default");
  assert.equal(path({ PathRegex: "(?i)/AB" }, "/ab"), "allow");
  assert.equal(path({ Methods: ["GET"] }, "/a"), "default");
  assert.equal(path({ Methods: ["GET", "POST"] }, "/a"), "allow");
});

test("a header is there, or its value is exact, or begins, ends, contains or matches, and each the other way round", () => {
  const fields = (header: object, ...given: PlainField[]): string =>
    permitted([{ Action: "allow", HTTP: { Header: [{ Name: "X-A", ...header }] } }], "/a", given);
  const value: PlainField = ["x-a", "Value"];
  assert.equal(fields({ Present: true }, value), "allow");
  assert.equal(fields({ Present: true }), "default");
  assert.equal(fields({ Present: true, Invert: true }), "allow");
  assert.equal(fields({ Present: true, Invert: true }, value), "default");
  for (const [test, hit, miss] of [
    ["Exact", "Value", "value"],
    ["Prefix", "Va", "va"],
    ["Suffix", "ue", "UE"],
    ["Contains", "alu", "ALU"],
    ["Regex", "V.*e", "V.*"],
  ] as const) {
    assert.equal(fields({ [test]: hit }, value), "allow", test);
    assert.equal(fields({ [test]: hit, Invert: true }, value), "default", test);
    if (test === "Regex") continue;
    assert.equal(fields({ [test]: miss }, value), "default", test);
    assert.equal(fields({ [test]: miss, IgnoreCase: true }, value), "allow", test);
    assert.equal(fields({ [test]: miss, Invert: true }, value), "allow", test);
    // As Envoy has it: a field that is not there passes no test of values.
    assert.equal(fields({ [test]: miss, Invert: true }), "default", test);
  }
});

test("of a field that comes twice, allow wants every value right and deny any", () => {
  const Header = [{ Name: "x-role", Exact: "guest" }];
  const twice: PlainField[] = [
    ["x-role", "guest"],
    ["x-role", "admin"],
  ];
  assert.equal(permitted([{ Action: "allow", HTTP: { Header } }], "/a", twice), "default");
  assert.equal(permitted([{ Action: "deny", HTTP: { Header } }], "/a", twice), "deny");
});

test("a path that can be read in several ways is denied by any of them, and allowed by all", () => {
  for (const path of [
    "/open/../a/b",
    "/%61/b",
    "/open/%2e%2e/a/b",
    "//a/b",
    "/open/..%2fa/b",
    "/./a/b",
    "/open\\..\\a/b",
  ]) {
    assert.equal(permitted([{ Action: "deny", HTTP: { PathPrefix: "/a/" } }], path), "deny", path);
    assert.equal(permitted([{ Action: "allow", HTTP: { PathPrefix: "/a/" } }], path), "default", path);
  }
  assert.equal(permitted([{ Action: "deny", HTTP: { PathPrefix: "/a/" } }], "/b/..a/"), "default");
  assert.equal(permitted([{ Action: "deny", HTTP: { PathExact: "/caf%C3%A9" } }], "/caf%c3%a9"), "deny");
  assert.equal(permitted([{ Action: "allow", HTTP: { PathRegex: "/.*[.]css" } }], "/a/delete;x.css"), "default");
  assert.equal(permitted([{ Action: "allow", HTTP: { PathExact: "/a%20b" } }], "/a%20b"), "allow");
});

test("a condition that nobody knows allows nothing, and denies all that the others are for", () => {
  for (const odd of [
    { HTTP: { PathPrefix: "/a", PathTemplate: "/{x}" } },
    { HTTP: { PathPrefix: "/a" }, Time: "night" },
    { HTTP: { PathPrefix: "/a", Header: [{ Name: "x-a", Glob: "*" }] } },
    { HTTP: { PathRegex: "/a(" } },
  ]) {
    assert.equal(permitted([{ Action: "allow", ...odd }], "/a"), "default");
    assert.equal(permitted([{ Action: "deny", ...odd }], "/a"), "deny");
  }
});

test("an expression takes time that is linear in what a caller sends", () => {
  const permissions = [{ Action: "deny", HTTP: { PathRegex: "/(a+)+b" } }];
  // Hours for an engine that tries one way after the other.
  assert.equal(permitted(permissions, `/${"a".repeat(2000)}`), "default");
});

test("a list that cannot be read is named, and none of it", () => {
  for (const [broken, why] of [
    [entry("web", 9, {}), /intention 1 neither allows nor denies/],
    [entry("", 9, allow), /intention 1 has no source/],
    [{ ...entry("web", 9, allow), Precedence: "9" }, /intention 1 has no precedence/],
    [entry("web", 9, { Permissions: {} }), /intention 1 has Permissions that are no list/],
    [entry("web", 9, { Permissions: [{ HTTP: {} }] }), /intention 1, permission 1 neither/],
    [entry("web", 9, { Permissions: [{ ...allow, HTTP: { PathExact: 1 } }] }), /PathExact that is no text/],
    [entry("web", 9, { Permissions: [{ ...allow, HTTP: { Header: [{}] } }] }), /a header without a name/],
    [undefined, /intention 1/],
  ] as const)
    assert.match(JSON.stringify(readIntentions([broken])), why);
});

test("a connection of TCP is decided by its source, and is denied where that depends on requests", () => {
  const word = (...list: readonly object[]): string => {
    const call = callOf(idOf("web"));
    call.protocol = "tcp";
    return compiled(...list).wordOn(call)?.action ?? "default";
  };
  assert.equal(word(entry("web", 9, allow)), "allow");
  assert.equal(word(entry("web", 9, deny), entry("*", 8, allow)), "deny");
  assert.equal(word(entry("other", 9, deny)), "default");
  assert.equal(word(entry("web", 9, { Permissions: [{ Action: "allow", HTTP: { PathPrefix: "/" } }] })), "deny");
});

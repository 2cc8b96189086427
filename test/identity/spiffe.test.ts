import assert from "node:assert/strict";
import { test } from "node:test";
import { consulPattern, IdPattern, parseSpiffeId, peerService } from "../../src/identity/spiffe.ts";

test("ids are read by the rules of SPIFFE-ID §2, and nothing else is taken for one", () => {
  for (const text of [
    "spiffe://a",
    "spiffe://a.b-c_d9/x",
    "spiffe://td/ns/Default/dc/dc1/svc/web.v2",
    "spiffe://td/...",
  ])
    assert.notEqual(typeof parseSpiffeId(text), "string", text);
  const broken = [
    "",
    "web",
    "https://td/x",
    "SPIFFE://td/x",
    "spiffe://",
    "spiffe:///x",
    "spiffe://TD/x",
    "spiffe://td:443/x",
    "spiffe://user@td/x",
    "spiffe://td/",
    "spiffe://td//x",
    "spiffe://td/x/",
    "spiffe://td/./x",
    "spiffe://td/../x",
    "spiffe://td/x?y",
    "spiffe://td/x#y",
    "spiffe://td/%41",
    "spiffe://td/ü",
    "spiffe://td/x y",
    `spiffe://${"a".repeat(256)}/x`,
    `spiffe://td/${"a".repeat(2048)}`,
  ];
  for (const text of broken) assert.equal(typeof parseSpiffeId(text), "string", text);
});

test("Consul's form says namespace, data centre, service, and partition where there are some", () => {
  const id = parseSpiffeId("spiffe://11-22.consul/ap/east/ns/team/dc/dc1/svc/web");
  assert.ok(typeof id !== "string");
  assert.equal(id.trustDomain, "11-22.consul");
  assert.deepEqual(id.consul, { partition: "east", namespace: "team", datacenter: "dc1", service: "web" });
  for (const other of ["spiffe://td/ns/a/sa/web", "spiffe://td/svc/web", "spiffe://td/ns/a/dc/b/svc/web/more"]) {
    const parsed = parseSpiffeId(other);
    assert.ok(typeof parsed !== "string");
    assert.equal(parsed.consul, undefined, other);
  }
});

function matches(pattern: string, text: string): boolean {
  const [form, id] = [IdPattern.parse(pattern), parseSpiffeId(text)];
  assert.ok(typeof form !== "string" && typeof id !== "string", `${pattern} ${text}`);
  return form.matches(id);
}

test("a star in a pattern stands for anything within a part, and for no slash", () => {
  const web = "spiffe://td/ns/default/dc/dc1/svc/web";
  assert.equal(matches(web, web), true);
  assert.equal(matches("spiffe://*/ns/*/dc/*/svc/web", web), true);
  assert.equal(matches("spiffe://*/ns/*/dc/*/svc/w*b", web), true);
  for (const pattern of [
    "spiffe://*/ns/*/dc/*/svc/we",
    "spiffe://*/svc/web",
    "spiffe://td/*/web",
    "spiffe://t/ns/default/dc/dc1/svc/web",
    "spiffe://td/ns/default/dc/dc1/svc/web2",
    "spiffe://*/ns/*/dc/*/svc/web.",
  ])
    assert.equal(matches(pattern, web), false, pattern);
  // Characters that mean something to regular expressions are themselves.
  assert.equal(matches("spiffe://t.d/x", "spiffe://tad/x"), false);
  for (const text of ["spiffe://*", "*", "spiffe://td/**//x", "spiffe://td/[a-z]"])
    assert.equal(typeof IdPattern.parse(text) === "string", text !== "spiffe://*", text);
});

test("the pattern of a service is Consul's form, with what is known of where it is", () => {
  assert.equal(consulPattern("web", {}).text, "spiffe://*/ns/*/dc/*/svc/web");
  const where = { trustDomain: "td", namespace: "team", partition: "east" };
  assert.equal(consulPattern("web", where).text, "spiffe://td/ap/east/ns/team/dc/*/svc/web");
});

test("a caller is called by its service, by its whole id, or unauthenticated, a word that no certificate can take", () => {
  assert.equal(peerService(undefined), "unauthenticated");
  assert.equal(peerService("spiffe://td/ns/a/dc/b/svc/web"), "web");
  assert.equal(peerService("spiffe://td/ns/a/sa/web"), "spiffe://td/ns/a/sa/web");
  const sly = "spiffe://td/ns/a/dc/b/svc/unauthenticated";
  assert.equal(peerService(sly), sly);
});

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { leadsTo, readWorkload, subjectUris } from "../../src/identity/certificate.ts";
import { Credentials } from "../../src/identity/credentials.ts";
import { consulPattern } from "../../src/identity/spiffe.ts";
import { idOf, TestCa } from "../support/certificates.ts";

test("URIs are told from what only looks like one within another name", () => {
  assert.deepEqual(subjectUris("URI:spiffe://td/a"), ["spiffe://td/a"]);
  assert.deepEqual(subjectUris("DNS:a.example, URI:spiffe://td/a, IP Address:10.0.0.1"), ["spiffe://td/a"]);
  // Node quotes a name that has a comma, a quote or a control character in it.
  assert.deepEqual(subjectUris('DNS:"a, URI:spiffe://td/admin"'), []);
  assert.deepEqual(subjectUris('DNS:"a\\", URI:spiffe://td/admin", URI:spiffe://td/a'), ["spiffe://td/a"]);
  assert.deepEqual(subjectUris('URI:"spiffe://td/a, URI:spiffe://td/b"'), ["spiffe://td/a, URI:spiffe://td/b"]);
  for (const broken of ['DNS:"a', "URI", "nonsense\n", 'URI:spiffe://td/a "'])
    assert.deepEqual(subjectUris(broken), [], broken);
});

test("a workload's certificate has one SPIFFE id and is no authority's", async () => {
  const ca = await TestCa.make();
  const read = async (uris: string[]) =>
    readWorkload(new X509Certificate((await ca.issue("web", { uris })).certificate));
  const good = await read([idOf("web")]);
  assert.ok(typeof good !== "string");
  assert.equal(good.id.text, idOf("web"));
  assert.match(good.fingerprint, /^[0-9a-f]{64}$/);
  assert.equal(await read([]), "the certificate has no SPIFFE id");
  assert.equal(await read([idOf("web"), idOf("api")]), "the certificate has more than one URI");
  assert.match(JSON.stringify(await read(["https://web.example"])), /is no SPIFFE id/);
  assert.match(JSON.stringify(readWorkload(new X509Certificate(ca.pem))), /an authority's/);
});

test("a chain leads to the authority that signed it, and to none of the same name", async () => {
  const [ca, other] = [await TestCa.make(), await TestCa.make()];
  const leaf = new X509Certificate((await ca.issue("web")).certificate);
  const [own, foreign] = [new X509Certificate(ca.pem), new X509Certificate(other.pem)];
  assert.equal(leadsTo([leaf], [foreign, own]), true);
  assert.equal(leadsTo([leaf], [foreign]), false);
  assert.equal(leadsTo([leaf, own], [own]), true);
  assert.equal(leadsTo([leaf], []), false);
  // A workload's certificate signs nothing, whatever is sent behind it.
  const next = new X509Certificate((await ca.issue("api")).certificate);
  assert.equal(leadsTo([leaf, next], [foreign]), false);
});

test("a peer without a certificate is nobody, whatever TLS says of it (nodejs/node#64584)", async () => {
  const ca = await TestCa.make();
  const rules = { own: [consulPattern("web", {})], minVersion: "TLSv1.3" } as const;
  const made = Credentials.make(await ca.material("web"), rules, [], Date.now());
  assert.ok(typeof made !== "string");
  const none = (): never => {
    throw new Error("nobody has a chain");
  };
  const nobody = made.peer(undefined, none, Date.now());
  assert.deepEqual(nobody, { refused: "noCertificate", why: "it showed no certificate" });
  const peer = new X509Certificate((await ca.issue("api")).certificate);
  assert.ok("id" in made.peer(peer, none, Date.now()));
  // TLS has looked at the time only once, when it verified the certificate.
  assert.deepEqual(made.peer(peer, none, Date.now() + 7_200_000), {
    refused: "expired",
    why: "its certificate has expired",
  });
});

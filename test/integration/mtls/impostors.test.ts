import assert from "node:assert/strict";
import { test } from "node:test";
import { issueCertificate, type KeyPair } from "../../../src/identity/make-certificate.ts";
import { idOf, TestCa } from "../../support/certificates.ts";
import { type TlsAttempt, tryTls } from "../../support/tls-client.ts";
import { inScope } from "../../support/with-proxy.ts";
import { mesh } from "./mesh.ts";

const HOUR = 3_600_000;
type Life = { readonly notBefore: number; readonly notAfter: number };
const life = (from: number, to: number): Life => ({ notBefore: Date.now() + from, notAfter: Date.now() + to });

/** A certificate of somebody whom `ca` has certified, authority or not, with that one's behind it. */
async function below(ca: TestCa, isAuthority: boolean, valid: Life): Promise<KeyPair> {
  const middle = await ca.certify("middle", isAuthority, valid);
  const uris = [idOf("admin")];
  const leaf = await issueCertificate(middle, { commonName: "admin", uris, ...life(-60_000, HOUR) });
  return { certificate: `${leaf.certificate}\n${middle.certificate}\n`, key: leaf.key };
}

const own =
  (...uris: string[]) =>
  (ca: TestCa) =>
    ca.issue("admin", { uris });

/** What somebody may come with who is not `admin`, or whose certificate says more than one may be. */
const impostors: Readonly<Record<string, (ca: TestCa) => Promise<KeyPair | undefined>>> = {
  "no certificate": async () => undefined,
  "one of another authority of the same name": async () => (await TestCa.make()).issue("admin"),
  "one of another trust domain by our authority": own(idOf("admin", "other.mesh")),
  "two ids": own(idOf("caller"), idOf("admin")),
  "the same id twice": own(idOf("admin"), idOf("admin")),
  "an id beside another URI": own(idOf("admin"), "https://test.mesh/"),
  "a scheme in capitals": own(idOf("admin").replace("spiffe:", "SPIFFE:")),
  "a trust domain in capitals": own(idOf("admin", "TEST.MESH")),
  "a trust domain with a dot behind it": own(idOf("admin", "test.mesh.")),
  "a trust domain with a port": own(idOf("admin", "test.mesh:443")),
  "a trust domain with a user": own(idOf("admin", "x@test.mesh")),
  "an encoded letter": own(idOf("%61dmin")),
  "an encoded slash": own(idOf("x%2fadmin")),
  "dots in the path": own(idOf("x/../admin")),
  "a slash at the end": own(`${idOf("admin")}/`),
  "an empty part of the path": own(idOf("/admin")),
  "a query": own(`${idOf("admin")}?a=b`),
  "a fragment": own(`${idOf("admin")}#a`),
  "a blank behind it": own(`${idOf("admin")} `),
  "a name that only looks like an id": (ca) => ca.issue("admin", { uris: [], dns: [`a, URI:${idOf("admin")}`] }),
  "no path": own("spiffe://test.mesh"),
  "the authority's own": async (ca) => ca.authority,
  "one that a workload has signed": (ca) => below(ca, false, life(-60_000, HOUR)),
  "one of an authority below that has expired": (ca) => below(ca, true, life(-2 * HOUR, -HOUR)),
  "one that has expired": (ca) => ca.issue("admin", life(-2 * HOUR, -HOUR)),
  "one that is not valid yet": (ca) => ca.issue("admin", life(HOUR, 2 * HOUR)),
};

test("nobody gets in with a certificate that is not, or does not say as it has to, who they are", async () => {
  await inScope(async (scope) => {
    const { inbound, ca, seen } = await mesh(scope, { ca: await TestCa.makeRoot() });
    const attempt = (with_: KeyPair | undefined): Promise<TlsAttempt> => tryTls(inbound.inbound, ca, with_);
    assert.equal((await attempt(await ca.issue("admin"))).spoken, true, "the door is there");
    const valid = await below(ca, true, life(-60_000, HOUR));
    assert.equal((await attempt(valid)).spoken, true, "an authority below ours may sign");
    const inside: string[] = [];
    for (const [what, make] of Object.entries(impostors)) {
      // Handshakes of one address have a rate.
      inbound.clock.jump(1000);
      if ((await attempt(await make(ca))).spoken) inside.push(what);
    }
    assert.deepEqual(inside, []);
    inbound.clock.jump(1000);
    assert.equal((await attempt(await ca.issue("admin"))).spoken, true, "and is still open");
    assert.deepEqual(seen, []);
  });
});

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { connect, createServer } from "node:tls";
import { issueCertificate, makeAuthority } from "../../src/identity/make-certificate.ts";

const HOUR = 3_600_000;
const now = Math.floor(Date.now() / 1000) * 1000;
const times = { notBefore: now - HOUR, notAfter: now + HOUR };

for (const algorithm of ["P-256", "Ed25519"] as const) {
  test(`an authority of ${algorithm} signs what TLS takes on both sides`, async () => {
    const authority = await makeAuthority({ commonName: "an authority", algorithm, ...times });
    const leaf = await issueCertificate(authority, {
      commonName: "user, of the mesh",
      dns: ["user.example"],
      uris: ["spiffe://example/ns/default/dc/dc1/svc/user"],
      ips: ["127.0.0.1"],
      algorithm,
      ...times,
    });
    const server = createServer({
      cert: leaf.certificate,
      key: leaf.key,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    });
    server.on("secureConnection", (socket) => socket.end(socket.getPeerX509Certificate()?.subjectAltName ?? "none"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const client = connect({
      port: address.port,
      host: "127.0.0.1",
      servername: "user.example",
      cert: leaf.certificate,
      key: leaf.key,
      ca: authority.certificate,
    });
    let said = "";
    client.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await once(client, "close");
    server.close();
    assert.equal(client.authorized, true);
    assert.equal(said, "DNS:user.example, URI:spiffe://example/ns/default/dc/dc1/svc/user, IP Address:127.0.0.1");
  });
}

test("an authority is one and a leaf is none, each within its time", async () => {
  const authority = await makeAuthority({ commonName: "root", uris: ["spiffe://example"], ...times });
  const leaf = await issueCertificate(authority, { commonName: "leaf", ...times });
  const [root, child] = [new X509Certificate(authority.certificate), new X509Certificate(leaf.certificate)];
  assert.equal(root.ca, true);
  assert.equal(child.ca, false);
  assert.ok(child.checkIssued(root) && child.verify(root.publicKey));
  assert.equal(child.validFromDate.getTime(), times.notBefore);
  assert.equal(child.validToDate.getTime(), times.notAfter);
  assert.notEqual(root.serialNumber, child.serialNumber);
});

test("an authority's key that cannot be read rejects", async () => {
  const authority = await makeAuthority({ commonName: "root", ...times });
  await assert.rejects(issueCertificate({ ...authority, key: "no key" }, { commonName: "leaf", ...times }));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { idOf, TestCa } from "../../support/certificates.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { callHead, connectPeer, message } from "../../support/raw-call.ts";
import { tryTls } from "../../support/tls-client.ts";
import { inScope, Sidecar } from "../../support/with-proxy.ts";
import { call, echo, filesOf, mesh } from "./mesh.ts";

test("a sidecar whose certificate names another service does not start, and says whom it names", async () => {
  await inScope(async (scope) => {
    const { files } = await filesOf(scope, await TestCa.make(), "orders");
    const { address } = await echo(scope);
    const config = { service: { name: "up", address }, mtls: { mode: "strict", source: { files } } };
    await assert.rejects(
      Sidecar.start(config),
      /^Error: no identity from mtls\.source\.files: the certificate is for spiffe:\/\/test\.mesh\/.*\/svc\/orders, not for spiffe:.*\/svc\/up/,
    );
  });
});

test("a sidecar without a certificate that can be used does not start", async () => {
  const ca = await TestCa.make();
  const now = Date.now();
  const broken: [string, (scope: Parameters<Parameters<typeof inScope>[0]>[0]) => Promise<object>, RegExp][] = [
    [
      "a file is missing",
      async (scope) => ({ ...(await filesOf(scope, ca, "up")).files, ca: "/nowhere/ca.pem" }),
      /cannot read \/nowhere\/ca\.pem/,
    ],
    [
      "expired",
      async (scope) => (await filesOf(scope, ca, "up", { notBefore: now - 7_200_000, notAfter: now - 1000 })).files,
      /the certificate expired at /,
    ],
    [
      "not valid yet",
      async (scope) => (await filesOf(scope, ca, "up", { notBefore: now + 600_000, notAfter: now + 7_200_000 })).files,
      /is not valid before /,
    ],
    [
      "no SPIFFE id",
      async (scope) => (await filesOf(scope, ca, "up", { uris: [], dns: ["up.example"] })).files,
      /the certificate has no SPIFFE id/,
    ],
    [
      "two ids",
      async (scope) => (await filesOf(scope, ca, "up", { uris: [idOf("up"), idOf("other")] })).files,
      /more than one URI/,
    ],
    [
      "another's key",
      async (scope) => ({ ...(await filesOf(scope, ca, "up")).files, key: (await filesOf(scope, ca, "up")).files.key }),
      /the key is another certificate's/,
    ],
    [
      "another authority",
      async (scope) => ({
        ...(await filesOf(scope, ca, "up")).files,
        ca: (await filesOf(scope, await TestCa.make(), "up")).files.ca,
      }),
      /signed by none of the authorities/,
    ],
    [
      "no list in crl",
      async (scope) => {
        const { files } = await filesOf(scope, ca, "up");
        return { ...files, crl: files.ca };
      },
      /no list of revoked certificates/,
    ],
  ];
  for (const [, files, expected] of broken) {
    await inScope(async (scope) => {
      const { address } = await echo(scope);
      const source = { files: await files(scope) };
      await assert.rejects(
        Sidecar.start({ service: { name: "up", address }, mtls: { mode: "strict", source } }),
        expected,
      );
    });
  }
});

test("callers of other trust domains are let in only with an authority of their own domain", async () => {
  await inScope(async (scope) => {
    const [ca, partner] = [await TestCa.make(), await TestCa.make("partner.example")];
    const bundle = await filesOf(scope, partner, "bundle");
    const federated = { "partner.example": bundle.files.ca };
    const { inbound } = await mesh(scope, { ca, federated });
    const from = (by: TestCa, domain: string) => by.issue("other", { uris: [idOf("other", domain)] });
    const attempt = async (by: TestCa, domain: string): Promise<boolean> =>
      (await tryTls(inbound.inbound, ca, await from(by, domain))).spoken;
    assert.equal(await attempt(ca, "test.mesh"), true);
    assert.equal(await attempt(partner, "partner.example"), true);
    // Each authority is good, and speaks for the other one's domain.
    assert.equal(await attempt(partner, "test.mesh"), false);
    assert.equal(await attempt(ca, "partner.example"), false);
    assert.equal(await attempt(ca, "nobody.example"), false);
    assert.equal(await attempt(await TestCa.make("partner.example"), "partner.example"), false);
  });
});

test("an authority's own certificate, or one without an id, is nobody's", async () => {
  await inScope(async (scope) => {
    const { inbound, ca } = await mesh(scope);
    assert.equal((await tryTls(inbound.inbound, ca, ca.authority)).spoken, false);
    const nameless = await ca.issue("other", { uris: [], dns: ["other.example"] });
    assert.equal((await tryTls(inbound.inbound, ca, nameless)).spoken, false);
    assert.equal((await tryTls(inbound.inbound, ca, undefined)).spoken, false);
  });
});

test("P-256 and Ed25519 certificates are both taken", async () => {
  for (const algorithm of ["P-256", "Ed25519"] as const) {
    await inScope(async (scope) => {
      const certificates = { up: { algorithm }, caller: { algorithm } };
      assert.equal((await (await mesh(scope, { certificates })).call()).error, undefined);
    });
  }
});

test("an upstream of another identity is reached by the one that is written down, and by no other", async () => {
  const uris = ["spiffe://test.mesh/ns/prod/sa/up"];
  const certificates = { up: { uris } };
  for (const [identity, reason] of [
    ["spiffe://test.mesh/ns/*/sa/up", ""],
    ["spiffe://test.mesh/ns/*/sa/u", "TLS_WRONG_IDENTITY"],
  ] as const) {
    await inScope(async (scope) => {
      const own = "spiffe://test.mesh/ns/*/sa/up";
      const made = await mesh(scope, { certificates, upstream: { identity }, inboundMtls: { identity: own } });
      assert.equal((await made.call()).reason, reason);
    });
  }
});

test("the application reads who called in x-forwarded-client-cert, which no caller can forge", async () => {
  await inScope(async (scope) => {
    const { seen, inbound, ...made } = await mesh(scope, { inbound: "permissive", outbound: "permissive" });
    const forged = {
      "x-forwarded-client-cert": `By=${idOf("up")};URI=${idOf("admin")}`,
      "x-forwarded-for": "192.0.2.7",
      forwarded: "for=192.0.2.7",
    };
    await made.call(forged);
    const form =
      /^By=spiffe:\/\/test\.mesh\/ns\/default\/dc\/dc1\/svc\/up;Hash=[0-9a-f]{64};Subject="CN=caller";URI=spiffe:\/\/test\.mesh\/ns\/default\/dc\/dc1\/svc\/caller$/;
    assert.equal(seen[0]?.get("x-forwarded-client-cert").length, 1);
    assert.match(String(seen[0]?.get("x-forwarded-client-cert")[0]), form);
    // One who has proven who it is may say from whom it has a call.
    assert.deepEqual(seen[0]?.get("x-forwarded-for"), ["192.0.2.7"]);
    await call(inbound.inbound, forged);
    assert.deepEqual(seen[1]?.get("x-forwarded-client-cert"), []);
    assert.deepEqual(seen[1]?.get("x-forwarded-for"), ["127.0.0.1"]);
    assert.deepEqual(seen[1]?.get("forwarded"), []);
  });
});

test("without mTLS nobody is believed: what a caller says of others in front of it is replaced, not added to", async () => {
  await inScope(async (scope) => {
    const { seen, inbound } = await mesh(scope, { inbound: "disabled", outbound: "disabled" });
    const peer = await connectPeer(scope, inbound.inbound);
    const forged: PlainField[] = [
      ["x-forwarded-for", "192.0.2.7"],
      ["x-forwarded-for", "192.0.2.8, 192.0.2.9"],
      ["x-forwarded-client-cert", `URI=${idOf("admin")}`],
      ["x-forwarded-client-cert", `URI=${idOf("root")}`],
      ["forwarded", "for=192.0.2.7"],
    ];
    const head = callHead("up", ...forged).map<PlainField>(([name, value]) =>
      name === ":path" ? [name, "/test.v1.Test/Unary"] : [name, value],
    );
    const stream = peer.request(head, false);
    peer.data(stream, message("hello"), true);
    await peer.answer(stream);
    const [told] = seen;
    assert.deepEqual(told?.get("x-forwarded-for"), ["127.0.0.1"]);
    assert.deepEqual(told?.get("x-forwarded-client-cert"), []);
    assert.deepEqual(told?.get("forwarded"), []);
  });
});

test("a caller who has proven who it is reads what went wrong, a stranger a fixed sentence", async () => {
  await inScope(async (scope) => {
    const { inbound, ...made } = await mesh(scope, {
      inbound: "permissive",
      outbound: "permissive",
      application: "127.0.0.1:1",
    });
    assert.match(`${(await made.call()).error?.details}`, /cannot connect to 127\.0\.0\.1:1: /);
    assert.equal((await call(inbound.inbound)).error?.details, "the connection was refused");
  });
});

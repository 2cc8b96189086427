import assert from "node:assert/strict";
import { test } from "node:test";
import { idOf, TestCa } from "../../support/certificates.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { inScope } from "../../support/with-proxy.ts";
import { startEnvoy } from "./envoy.ts";
import { call, echo, filesOf, mesh } from "./mesh.ts";

test(
  "an Envoy calls a strict sidecar by mTLS; what it says of the caller is not believed, what its certificate says is",
  skipUnless("envoy"),
  async () => {
    await inScope(async (scope) => {
      const { ca, inbound, seen } = await mesh(scope);
      const tls = { own: await ca.issue("web"), authority: ca.pem, peer: idOf("up") };
      const envoy = await startEnvoy(scope, "upstream", inbound.inbound, tls);
      for (let at = 0; at < 3; at++)
        assert.equal((await call(envoy, { "x-forwarded-client-cert": `URI=${idOf("admin")}` })).error, undefined);
      assert.equal((await inbound.call()).peer_service, "web");
      assert.match(
        String(seen[0]?.get("x-forwarded-client-cert")),
        /;URI=spiffe:\/\/test\.mesh\/ns\/default\/dc\/dc1\/svc\/web$/,
      );
    });
  },
);

test(
  "an Envoy with a certificate of another authority does not get in, nor one that expects another service",
  skipUnless("envoy"),
  async () => {
    await inScope(async (scope) => {
      const { ca, inbound } = await mesh(scope);
      const stranger = { own: await (await TestCa.make()).issue("web"), authority: ca.pem, peer: idOf("up") };
      assert.equal((await call(await startEnvoy(scope, "upstream", inbound.inbound, stranger))).error?.code, 14);
      const wrong = { own: await ca.issue("web"), authority: ca.pem, peer: idOf("other") };
      assert.equal((await call(await startEnvoy(scope, "upstream", inbound.inbound, wrong))).error?.code, 14);
      assert.deepEqual(inbound.calls, []);
    });
  },
);

test(
  "a strict sidecar calls an Envoy by mTLS, which tells the application who it is in the same form as we do",
  skipUnless("envoy"),
  async () => {
    await inScope(async (scope) => {
      const ca = await TestCa.make();
      const application = await echo(scope);
      const tls = { own: await ca.issue("up"), authority: ca.pem, peer: idOf("caller") };
      const envoy = await startEnvoy(scope, "downstream", application.address, tls);
      const { files } = await filesOf(scope, ca, "caller");
      const outbound = await scope.sidecar({
        identity: { name: "caller" },
        mtls: { mode: "strict", source: { files } },
        upstreams: {
          up: { discovery: "static", endpoints: [envoy] },
          other: { discovery: "static", endpoints: [envoy] },
        },
      });
      assert.equal((await call(outbound.outbound)).error, undefined);
      const own = outbound.runtime.mtls.credentials?.own;
      const told = String(application.seen[0]?.get("x-forwarded-client-cert")[0]);
      assert.equal(told, `By=${idOf("up")};Hash=${own?.fingerprint};Subject="CN=caller";URI=${idOf("caller")}`);
      assert.equal((await call(outbound.outbound, {}, "other")).reason, "TLS_WRONG_IDENTITY");
    });
  },
);

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { systemClock } from "../../../src/core/clock.ts";
import { ConsulConnect } from "../../../src/discovery/consul/connect.ts";
import { type Consul, startConsul } from "../../support/consul.ts";
import { skipUnless } from "../../support/real-parts.ts";

function connectTo(address: string): ConsulConnect {
  const none = { token: undefined, tokenFile: undefined, tls: undefined };
  const options = { address, ...none, datacenter: undefined, namespace: undefined, partition: undefined };
  return new ConsulConnect(options, systemClock);
}

async function withConsul(body: (consul: Consul, connect: ConsulConnect) => Promise<void>): Promise<void> {
  const consul = await startConsul();
  const connect = connectTo(consul.address);
  try {
    await body(consul, connect);
  } finally {
    connect.close();
    await consul.stop();
  }
}

test(
  "a real Consul gives its authority, and a certificate in its own form for a service",
  skipUnless("consul"),
  async () => {
    await withConsul(async (_consul, connect) => {
      const { signal } = new AbortController();
      const roots = await connect.roots({ index: 0n, signal });
      const leaf = await connect.leaf("web", { index: 0n, signal });
      const certificate = new X509Certificate(leaf.certificate);
      assert.match(
        `${certificate.subjectAltName}`,
        /URI:spiffe:\/\/[0-9a-f-]+\.consul\/ns\/default\/dc\/dc1\/svc\/web/,
      );
      assert.ok(certificate.verify(new X509Certificate(roots.authorities).publicKey));
      assert.match(leaf.key, /PRIVATE KEY/);
    });
  },
);

test(
  "when the authority changes, the queries that wait are answered with both authorities and a new certificate",
  skipUnless("consul"),
  async () => {
    await withConsul(async (consul, connect) => {
      const { signal } = new AbortController();
      const roots = await connect.roots({ index: 0n, signal });
      const leaf = await connect.leaf("web", { index: 0n, signal });
      const next = Promise.all([
        connect.roots({ index: roots.index, signal }),
        connect.leaf("web", { index: leaf.index, signal }),
      ]);
      const config = { PrivateKeyType: "ec", PrivateKeyBits: 384 };
      const changed = await consul.request("PUT", "/v1/connect/ca/configuration", {
        Provider: "consul",
        Config: config,
      });
      assert.equal(changed.status, 200, String(changed.body));
      const [after, fresh] = await next;
      assert.equal(after.authorities.match(/BEGIN CERTIFICATE/g)?.length, 2);
      assert.notEqual(fresh.certificate, leaf.certificate);
    });
  },
);

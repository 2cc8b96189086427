import assert from "node:assert/strict";
import { request } from "node:https";
import { test } from "node:test";
import { pino } from "pino";
import { issueCertificate, makeAuthority } from "../../src/identity/make-certificate.ts";
import type { MeshDefaults } from "../../src/kubernetes/settings.ts";
import { Webhook } from "../../src/kubernetes/webhook.ts";
import { defaults, pod } from "./pods.ts";

/** The status of the answer to a review of a pod. */
function ask(port: number, ca: string): Promise<number | undefined> {
  const body = JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    request: { uid: "u-1", namespace: "shop", kind: { kind: "Pod" }, object: pod() },
  });
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path: "/inject", method: "POST", ca, agent: false }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

test("a review that fails is answered as failed and written down, and the next one is answered", async () => {
  let broken = true;
  const faulty: MeshDefaults = {
    ...defaults,
    get config(): string {
      if (broken) throw new Error("a fault of ours");
      return defaults.config;
    },
  };
  const times = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 };
  const authority = await makeAuthority({ commonName: "test", ...times });
  const lines: string[] = [];
  const log = pino({ level: "error" }, { write: (line) => void lines.push(line) });
  const webhook = new Webhook({ host: "127.0.0.1", port: 0, defaults: faulty, log });
  webhook.useCertificate(await issueCertificate(authority, { commonName: "x", dns: [], ips: ["127.0.0.1"], ...times }));
  const port = await webhook.listen();
  try {
    assert.equal(await ask(port, authority.certificate), 500);
    assert.match(lines.join(""), /a fault of ours/);
    broken = false;
    assert.equal(await ask(port, authority.certificate), 200);
  } finally {
    await webhook.close();
  }
});

import assert from "node:assert/strict";
import type { OutgoingHttpHeaders } from "node:http";
import { Agent, request } from "node:https";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { type Logger, pino } from "pino";
import { issueCertificate, makeAuthority } from "../../src/identity/make-certificate.ts";
import type { MeshDefaults } from "../../src/kubernetes/settings.ts";
import { Webhook } from "../../src/kubernetes/webhook.ts";
import { defaults, pod } from "./pods.ts";

const HOUR = 3_600_000;
const REVIEW = JSON.stringify({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "u-1", namespace: "shop", kind: { kind: "Pod" }, object: pod() },
});
const JSON_TYPE = { "content-type": "application/json" };

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
}

interface RunningWebhook {
  ask(method: string, path: string, headers?: OutgoingHttpHeaders, body?: string | readonly Buffer[]): Promise<Answer>;
  close(): Promise<void>;
}

async function startWebhook(mesh: MeshDefaults, log: Logger): Promise<RunningWebhook> {
  const times = { notBefore: Date.now() - 60_000, notAfter: Date.now() + HOUR };
  const authority = await makeAuthority({ commonName: "test", ...times });
  const webhook = new Webhook({ host: "127.0.0.1", port: 0, defaults: mesh, log });
  webhook.useCertificate(await issueCertificate(authority, { commonName: "x", dns: [], ips: ["127.0.0.1"], ...times }));
  const port = await webhook.listen();
  // As the API server, which keeps its connections: one that is to be closed is closed on what is still on its way.
  const agent = new Agent({ keepAlive: true });
  const options = { host: "127.0.0.1", port, ca: authority.certificate, agent };
  return {
    ask: (method, path, headers = JSON_TYPE, body = REVIEW) =>
      new Promise((resolve, reject) => {
        const sent = request({ ...options, method, path, headers }, (answer) => {
          text(answer).then((read) => resolve({ status: answer.statusCode, text: read }), reject);
        });
        sent.on("error", reject);
        if (typeof body === "string") sent.end(body);
        else {
          // Without a length before it.
          for (const chunk of body) sent.write(chunk);
          sent.end();
        }
      }),
    close: async () => {
      agent.destroy();
      await webhook.close();
    },
  };
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
  const lines: string[] = [];
  const log = pino({ level: "error" }, { write: (line) => void lines.push(line) });
  const webhook = await startWebhook(faulty, log);
  try {
    assert.equal((await webhook.ask("POST", "/inject")).status, 500);
    assert.match(lines.join(""), /a fault of ours/);
    broken = false;
    assert.equal((await webhook.ask("POST", "/inject")).status, 200);
  } finally {
    await webhook.close();
  }
});

test("requests that no API server sends are refused, each with its reason, and the next review is answered", async () => {
  const webhook = await startWebhook(defaults, pino({ level: "silent" }));
  const refused = async (status: number, says: RegExp, ...asked: Parameters<RunningWebhook["ask"]>): Promise<void> => {
    const answer = await webhook.ask(...asked);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, says);
  };
  const much = Array.from({ length: 64 }, () => Buffer.alloc(65_536, " "));
  try {
    await refused(404, /^POST \/inject, GET \/ready, \/live$/m, "GET", "/inject", {}, "");
    await refused(404, /POST \/inject/, "POST", "/other");
    await refused(415, /a review is application\/json/, "POST", "/inject", { "content-type": "text/yaml" });
    await refused(415, /a review is application\/json/, "POST", "/inject", {});
    await refused(400, /this is no JSON/, "POST", "/inject", JSON_TYPE, "");
    await refused(400, /this is no JSON/, "POST", "/inject", JSON_TYPE, REVIEW.slice(1));
    await refused(
      400,
      /but of admission\.k8s\.io\/v1beta1/,
      "POST",
      "/inject",
      JSON_TYPE,
      REVIEW.replace("/v1", "/v1beta1"),
    );
    await refused(413, /at most 3145728 octets/, "POST", "/inject", JSON_TYPE, Buffer.concat(much).toString());
    await refused(413, /at most 3145728 octets/, "POST", "/inject", JSON_TYPE, much);
    const answered = await webhook.ask("POST", "/inject?timeout=5s", {
      "content-type": "application/json; charset=utf-8",
    });
    assert.equal(answered.status, 200);
    assert.equal(JSON.parse(answered.text).response.uid, "u-1");
  } finally {
    await webhook.close();
  }
});

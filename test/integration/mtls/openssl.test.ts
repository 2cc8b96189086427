import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { KeyPair } from "../../../src/identity/make-certificate.ts";
import { TestCa } from "../../support/certificates.ts";
import { sampleValue } from "../../support/prometheus.ts";
import { inScope, type Scope } from "../../support/with-proxy.ts";
import { folder, mesh } from "./mesh.ts";

/** The head of a SETTINGS frame behind its length: type 4, no flags, stream 0 (RFC 9113 §6.5). */
const SETTINGS = Buffer.from([4, 0, 0, 0, 0, 0]);

interface Answer {
  /** HTTP/2 has begun: SETTINGS came after the handshake. */
  readonly spoken: boolean;
  readonly output: string;
}

/** `openssl s_client` with HTTP/2's preface on its standard input. */
async function client(address: string, path: string, own: KeyPair | undefined, ...args: string[]): Promise<Answer> {
  const files: string[] = [];
  if (own !== undefined) {
    await writeFile(join(path, "cert.pem"), own.certificate);
    await writeFile(join(path, "key.pem"), own.key);
    files.push("-cert", join(path, "cert.pem"), "-key", join(path, "key.pem"));
  }
  const child = spawn("openssl", ["s_client", "-connect", address, "-alpn", "h2", ...files, ...args]);
  const chunks: Buffer[] = [];
  let spoken = false;
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (Buffer.concat(chunks).includes(SETTINGS)) {
        spoken = true;
        child.kill();
      }
    });
  child.stdin.on("error", () => {});
  child.stdin.write(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1"));
  const timer = setTimeout(() => child.kill(), 5000);
  await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  return { spoken, output: Buffer.concat(chunks).toString("latin1") };
}

const now = Date.now();

/** What OpenSSL's client offers, what comes of it, and how it is counted. */
const cases: readonly {
  readonly title: string;
  readonly own: (ca: TestCa) => Promise<KeyPair | undefined>;
  readonly args?: readonly string[];
  readonly mtls?: Readonly<Record<string, unknown>>;
  readonly spoken?: RegExp;
  readonly result: string;
}[] = [
  { title: "a good certificate and TLS 1.3", own: (ca) => ca.issue("other"), spoken: /TLSv1\.3/, result: "ok" },
  { title: "TLS 1.2", own: (ca) => ca.issue("other"), args: ["-tls1_2"], result: "version" },
  {
    title: "TLS 1.2 where it is allowed",
    own: (ca) => ca.issue("other"),
    args: ["-tls1_2"],
    mtls: { minVersion: "tls12" },
    spoken: /TLSv1\.2/,
    result: "ok",
  },
  { title: "no certificate", own: async () => undefined, result: "noCertificate" },
  { title: "another authority", own: async () => (await TestCa.make()).issue("other"), result: "untrusted" },
  {
    title: "an expired certificate",
    own: (ca) => ca.issue("other", { notBefore: now - 7_200_000, notAfter: now - 3_600_000 }),
    result: "expired",
  },
  {
    title: "a certificate that is not valid yet",
    own: (ca) => ca.issue("other", { notBefore: now + 3_600_000, notAfter: now + 7_200_000 }),
    result: "expired",
  },
  {
    title: "a name that is no SPIFFE id",
    own: (ca) => ca.issue("other", { uris: ["https://other.example"] }),
    result: "wrongIdentity",
  },
  {
    title: "an id of a trust domain that is not trusted",
    own: (ca) => ca.issue("other", { uris: ["spiffe://elsewhere/ns/default/dc/dc1/svc/other"] }),
    result: "untrusted",
  },
  { title: "HTTP/1.1 only", own: (ca) => ca.issue("other"), args: ["-alpn", "http/1.1"], result: "protocol" },
];

for (const { title, own, args = [], mtls = {}, spoken, result } of cases) {
  test(`openssl s_client with ${title}: ${result}`, async () => {
    await inScope(async (scope: Scope) => {
      const { inbound, ca } = await mesh(scope, { mtls });
      const answer = await client(inbound.inbound, await folder(scope), await own(ca), ...args);
      assert.equal(answer.spoken, spoken !== undefined, answer.output);
      if (spoken !== undefined) assert.match(answer.output, spoken);
      const labels = { direction: "inbound", result };
      assert.equal(sampleValue(await inbound.metrics(), "outrigger_tls_handshakes_total", labels), 1);
    });
  });
}

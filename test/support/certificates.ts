import { randomUUID, webcrypto } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CertificateRequest,
  issueCertificate,
  type KeyPair,
  makeAuthority,
} from "../../src/identity/make-certificate.ts";
import type { Material } from "../../src/identity/material.ts";
import { pemBlock } from "../../src/identity/pem.ts";

const HOUR = 3_600_000;

/** The trust domain of tests. */
const DOMAIN = "test.mesh";

/** A service's id in Consul's form. */
export function idOf(service: string, domain = DOMAIN): string {
  return `spiffe://${domain}/ns/default/dc/dc1/svc/${service}`;
}

/** An authority for tests, valid for an hour around now. */
export class TestCa {
  readonly domain: string;
  readonly authority: KeyPair;

  private constructor(domain: string, authority: KeyPair) {
    this.domain = domain;
    this.authority = authority;
  }

  static async make(domain = DOMAIN): Promise<TestCa> {
    const now = Date.now();
    const life = { notBefore: now - 24 * HOUR, notAfter: now + 24 * HOUR };
    return new TestCa(domain, await makeAuthority({ commonName: `${domain} ${randomUUID()}`, ...life }));
  }

  /** One that lets others sign for it; those of `make` may not have any. */
  static async makeRoot(domain = DOMAIN): Promise<TestCa> {
    const name = `CN=${domain} ${randomUUID()}`;
    return new TestCa(domain, await certified(name, undefined, true, Date.now() - 24 * HOUR, Date.now() + 24 * HOUR));
  }

  /** Certifies somebody who signs certificates, whether that is an authority or is not. */
  certify(name: string, isAuthority: boolean, life: { notBefore: number; notAfter: number }): Promise<KeyPair> {
    return certified(`CN=${name}`, this.authority, isAuthority, life.notBefore, life.notAfter);
  }

  get pem(): string {
    return this.authority.certificate;
  }

  /** A certificate for a service; valid from a minute ago for an hour, unless said otherwise. */
  issue(service: string, more: Partial<CertificateRequest> = {}): Promise<KeyPair> {
    const now = Date.now();
    const life = { notBefore: now - 60_000, notAfter: now + HOUR };
    const uris = [idOf(service, this.domain)];
    return issueCertificate(this.authority, { commonName: service, uris, ...life, ...more });
  }

  async material(
    service: string,
    more: Partial<CertificateRequest> = {},
    rest: Partial<Material> = {},
  ): Promise<Material> {
    const { certificate, key } = await this.issue(service, more);
    return { certificate, key, authorities: this.pem, federated: new Map(), revoked: undefined, ...rest };
  }

  /** A list of revoked certificates, signed. */
  async revoke(...certificates: string[]): Promise<string> {
    const x509 = await import("@peculiar/x509");
    const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
    const der = Buffer.from(this.authority.key.replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
    const now = Date.now();
    const crl = await x509.X509CrlGenerator.create({
      issuer: new x509.X509Certificate(this.pem).subject,
      thisUpdate: new Date(now - HOUR),
      nextUpdate: new Date(now + HOUR),
      signingAlgorithm: algorithm,
      signingKey: await webcrypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]),
      entries: certificates.map((pem) => ({ serialNumber: new x509.X509Certificate(pem).serialNumber })),
    });
    // The package labels it "CRL", which OpenSSL does not read.
    return pemBlock("X509 CRL", new Uint8Array(crl.rawData));
  }
}

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A certificate that is used to sign others; without an issuer its own. */
async function certified(
  subject: string,
  issuer: KeyPair | undefined,
  isAuthority: boolean,
  notBefore: number,
  notAfter: number,
): Promise<KeyPair> {
  await import("reflect-metadata"); // what injects the library's own parts asks for it
  const x509 = await import("@peculiar/x509");
  const keys = await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
  const der = Buffer.from((issuer?.key ?? "").replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: randomUUID().replaceAll("-", "").slice(0, 16),
    subject,
    issuer: issuer === undefined ? subject : new x509.X509Certificate(issuer.certificate).subject,
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    publicKey: keys.publicKey,
    signingKey:
      issuer === undefined ? keys.privateKey : await webcrypto.subtle.importKey("pkcs8", der, P256, false, ["sign"]),
    signingAlgorithm: P256,
    extensions: [
      new x509.BasicConstraintsExtension(isAuthority, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const key = pemBlock("PRIVATE KEY", new Uint8Array(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)));
  return { certificate: made.toString("pem"), key };
}

/** The files of `mtls.source.files`, in a folder of their own. */
export interface CertificateFiles {
  readonly folder: string;
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string };
  /** Writes some of them anew. */
  write(content: { cert?: string; key?: string; ca?: string }): Promise<void>;
  remove(): Promise<void>;
}

/** Writes a service's certificate with its authority. */
export async function certificateFiles(
  ca: TestCa,
  service: string,
  more: Partial<CertificateRequest> = {},
): Promise<CertificateFiles> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-test-"));
  const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem"), ca: join(folder, "ca.pem") };
  const write = async ({ cert, key, ca: authority }: { cert?: string; key?: string; ca?: string }): Promise<void> => {
    if (authority !== undefined) await writeFile(files.ca, authority);
    if (key !== undefined) await writeFile(files.key, key, { mode: 0o600 });
    if (cert !== undefined) await writeFile(files.cert, cert);
  };
  const { certificate, key } = await ca.issue(service, more);
  await write({ cert: certificate, key, ca: ca.pem });
  return { folder, files, write, remove: () => rm(folder, { recursive: true, force: true }) };
}

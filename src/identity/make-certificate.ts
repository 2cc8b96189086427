import { createPrivateKey, type webcrypto } from "node:crypto";
import { pemBlock } from "./pem.ts";

/** A certificate and its private key, both as PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** What a certificate is to say. */
export interface CertificateRequest {
  readonly commonName: string;
  /** Alternative names. */
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  readonly ips?: readonly string[];
  /** Milliseconds since the Unix epoch; a certificate counts whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** What the key is for; P-256 unless said otherwise. */
  readonly algorithm?: "P-256" | "Ed25519";
}

const algorithms = {
  "P-256": { generate: { name: "ECDSA", namedCurve: "P-256" }, sign: { name: "ECDSA", hash: "SHA-256" } },
  Ed25519: { generate: { name: "Ed25519" }, sign: { name: "Ed25519" } },
} as const;

type Library = typeof import("@peculiar/x509");

/** A new authority: a self-signed certificate that may sign others, but no further authorities (RFC 5280 §4.2.1.9). */
export async function makeAuthority(request: CertificateRequest): Promise<KeyPair> {
  const x509 = await library();
  const { generate, sign } = algorithms[request.algorithm ?? "P-256"];
  const keys = await newKeys(generate);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(request),
    serialNumber: serialNumber(),
    name: subject(request),
    keys,
    signingAlgorithm: sign,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...alternativeNames(x509, request),
    ],
  });
  return { certificate: certificate.toString("pem"), key: await pemKey(keys.privateKey) };
}

/** A new key with a certificate that `authority` signs, for both ends of TLS. Rejects where the authority cannot be read. */
export async function issueCertificate(authority: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.certificate);
  const signer = readKey(authority.key);
  const keys = await newKeys(algorithms[request.algorithm ?? "P-256"].generate);
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(request),
    serialNumber: serialNumber(),
    subject: subject(request),
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: signer.key,
    signingAlgorithm: signer.algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...alternativeNames(x509, request),
    ],
  });
  return { certificate: certificate.toString("pem"), key: await pemKey(keys.privateKey) };
}

/** Loaded only by who makes certificates: a megabyte that other sidecars do without. */
async function library(): Promise<Library> {
  await import("reflect-metadata"); // what injects the library's own parts asks for it
  return await import("@peculiar/x509");
}

async function newKeys(algorithm: {
  readonly name: string;
  readonly namedCurve?: string;
}): Promise<webcrypto.CryptoKeyPair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  if (!("privateKey" in keys)) throw new Error(`${algorithm.name} gives no key pair`);
  return keys;
}

async function pemKey(key: webcrypto.CryptoKey): Promise<string> {
  return pemBlock("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", key)));
}

/** An authority's key, and how it signs. */
function readKey(pem: string) {
  const object = createPrivateKey(pem);
  const { generate, sign } = algorithms[object.asymmetricKeyType === "ed25519" ? "Ed25519" : "P-256"];
  return { key: object.toCryptoKey(generate, false, ["sign"]), algorithm: sign };
}

/** 16 random octets, positive (RFC 5280 §4.1.2.2). */
function serialNumber(): string {
  const octets = crypto.getRandomValues(Buffer.alloc(16));
  octets[0] = ((octets[0] ?? 0) & 0x7f) | 0x40;
  return octets.toString("hex");
}

function subject({ commonName }: CertificateRequest): string {
  return `CN=${commonName.replaceAll(/[,+"\\<>;=]/g, "\\$&")}`;
}

function validity({ notBefore, notAfter }: CertificateRequest): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(notBefore), notAfter: new Date(notAfter) };
}

function alternativeNames(x509: Library, { dns = [], uris = [], ips = [] }: CertificateRequest) {
  const names = [
    ...dns.map((value) => ({ type: "dns" as const, value })),
    ...uris.map((value) => ({ type: "url" as const, value })),
    ...ips.map((value) => ({ type: "ip" as const, value })),
  ];
  return names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names, false)];
}

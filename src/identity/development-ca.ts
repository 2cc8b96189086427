import { randomUUID, X509Certificate } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../core/make-folder.ts";
import { issueCertificate, type KeyPair, makeAuthority } from "./make-certificate.ts";
import { consulPattern } from "./spiffe.ts";

/** The trust domain of an authority that was made without one. */
export const DEVELOPMENT_DOMAIN = "outrigger.local";

const DAY = 86_400_000;
const AUTHORITY_DAYS = 3650;
/** Certificates begin a little before they are made: clocks of one machine agree, but those of its containers may not. */
const BACKDATE = 60_000;

/** The files of an authority in its folder. */
export function authorityFiles(folder: string): { readonly certificate: string; readonly key: string } {
  return { certificate: join(folder, "ca.pem"), key: join(folder, "ca.key") };
}

/** An authority for one machine, in a folder: whoever may read its key may be anybody. For development and for demonstrations. */
export class DevelopmentCa {
  readonly trustDomain: string;
  readonly authority: KeyPair;

  private constructor(authority: KeyPair, trustDomain: string) {
    this.authority = authority;
    this.trustDomain = trustDomain;
  }

  /** The authority in a folder. Rejects where there is none, or it cannot be read. */
  static async open(folder: string): Promise<DevelopmentCa> {
    const files = authorityFiles(folder);
    const [certificate, key] = await Promise.all([readFile(files.certificate, "utf8"), readFile(files.key, "utf8")]);
    const domain = /URI:spiffe:\/\/([a-z0-9._-]+)/.exec(new X509Certificate(certificate).subjectAltName ?? "")?.[1];
    if (domain === undefined) throw new Error(`${files.certificate} is no authority that outrigger ca has made`);
    return new DevelopmentCa({ certificate, key }, domain);
  }

  /** Makes an authority in a folder. False where there is one already, which stays; several may try at once. */
  static async init(folder: string, trustDomain: string, now: number): Promise<boolean> {
    const life = { notBefore: now - BACKDATE, notAfter: now + AUTHORITY_DAYS * DAY };
    // Authorities of one domain are told apart by their names.
    const commonName = `${trustDomain} development CA ${randomUUID().slice(0, 8)}`;
    const made = await makeAuthority({ commonName, uris: [`spiffe://${trustDomain}`], ...life });
    const files = authorityFiles(folder);
    await makeFolder(folder, 0o700);
    // The key's name is the lock: whoever links it first has made the authority, and the certificate follows.
    const draft = `${files.key}.${randomUUID()}.new`;
    await writeFile(draft, made.key, { mode: 0o600 });
    try {
      await link(draft, files.key);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
    await replaceFile(files.certificate, made.certificate, 0o644);
    return true;
  }

  /** A certificate for a service, in Consul's form of a SPIFFE id. */
  issue(service: string, lifetime: number, now: number): Promise<KeyPair> {
    const id = consulPattern(service, { trustDomain: this.trustDomain, namespace: "default", datacenter: "local" });
    const life = { notBefore: now - BACKDATE, notAfter: now + lifetime };
    return issueCertificate(this.authority, { commonName: service, uris: [id.text], ...life });
  }
}

/** Writes a file as a whole: whoever reads it has the old one or the new one. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  await makeFolder(dirname(path));
  const draft = `${path}.${process.pid}.new`;
  await writeFile(draft, text, { mode });
  await rename(draft, path);
}

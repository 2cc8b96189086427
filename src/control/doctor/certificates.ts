import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Config } from "../../config/types.ts";
import { authorityFiles } from "../../identity/development-ca.ts";
import { type Check, error, type Finding, messageOf, ok, warning } from "./finding.ts";

const NAME = "certificate";
/** Milliseconds before its end at which a certificate that nobody renews is worth a word. */
const SOON = 24 * 3_600_000;

/** Where certificates stand in files. */
interface Named {
  readonly what: string;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  /** Other sidecars read an identity of it. */
  readonly identity: boolean;
  /** Its source gives the next one in time. */
  readonly isRenewed?: boolean;
}

/** Whether certificates that stand in files can be read, belong to their keys, are signed by their authorities, and are in force. */
export const checkCertificates: Check = async ({ config, clock }) => {
  const findings: Finding[] = [];
  for (const named of filesOf(config)) findings.push(...(await checkFiles(named, clock.wall())));
  return findings;
};

function filesOf({ mtls, discovery }: Config): Named[] {
  const found: Named[] = [];
  const files = mtls.source?.files;
  if (files !== undefined) {
    const { cert, key, ca } = files;
    found.push({ what: "mtls.source.files", cert, key, ca, identity: true });
  }
  const tls = discovery.consul?.tls;
  if (tls !== undefined) {
    const { cert, key, ca } = tls;
    found.push({ what: "discovery.consul.tls", cert, key, ca: undefined, identity: false });
    found.push({ what: "discovery.consul.tls.ca", cert: ca, key: undefined, ca: undefined, identity: false });
  }
  const authority = mtls.source?.development && authorityFiles(mtls.source.development.path).certificate;
  // Whoever comes first makes it.
  if (authority !== undefined && existsSync(authority))
    found.push({ what: "mtls.source.development", cert: authority, key: undefined, ca: undefined, identity: false });
  return found;
}

async function checkFiles(named: Named, now: number): Promise<Finding[]> {
  const { what, identity } = named;
  if (named.cert === undefined) return [];
  let pem: Pem;
  try {
    const read = async (path: string | undefined): Promise<string | undefined> =>
      path && (await readFile(path, "utf8"));
    pem = { certificate: await readFile(named.cert, "utf8"), key: await read(named.key), ca: await read(named.ca) };
    return checkPem({ what, identity }, pem, now);
  } catch (reason) {
    const remedy = "Mount PEM files that this user may read, or correct the paths.";
    return [error(NAME, `${what} cannot be read: ${messageOf(reason)}`, remedy)];
  }
}

/** What there is of a certificate, as PEM. */
export interface Pem {
  readonly certificate: string;
  readonly key: string | undefined;
  readonly ca: string | undefined;
}

/** Looks at a certificate from wherever. Throws where it is none. */
export function checkPem(
  named: Pick<Named, "what" | "identity" | "isRenewed">,
  { certificate, key, ca }: Pem,
  now: number,
): Finding[] {
  const read = new X509Certificate(certificate);
  return [
    inForce(named, read, now),
    ...(key === undefined ? [] : [keyOf(named, read, key)]),
    ...(ca === undefined ? [] : [signerOf(named, read, blocks(ca))]),
    ...(named.identity ? [identityOf(named, read)] : []),
  ];
}

type What = Pick<Named, "what" | "isRenewed">;

function inForce({ what, isRenewed }: What, certificate: X509Certificate, now: number): Finding {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const span = `${what} is in force from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;
  if (now < from) return error(NAME, `${span}: not yet`, "Correct the clock of this machine, or of the authority.");
  if (now >= to)
    return error(
      NAME,
      `${span}: it has expired`,
      "Renew it: every handshake is refused. The files are read again as they change.",
    );
  if (to - now < SOON && isRenewed !== true)
    return warning(NAME, `${span}: it ends within a day`, "See that something renews it.");
  return ok(NAME, span);
}

function keyOf({ what }: What, certificate: X509Certificate, key: string): Finding {
  try {
    if (certificate.checkPrivateKey(createPrivateKey(key)))
      return ok(NAME, `${what}: the key belongs to the certificate`);
  } catch (reason) {
    return error(
      NAME,
      `${what}: the key cannot be read: ${messageOf(reason)}`,
      "It has to be a PEM key without a password.",
    );
  }
  return error(NAME, `${what}: the key belongs to another certificate`, "Write both files together, from one renewal.");
}

function signerOf({ what }: What, certificate: X509Certificate, authorities: readonly X509Certificate[]): Finding {
  const signer = authorities.find(
    (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
  if (signer !== undefined) return ok(NAME, `${what}: signed by ${signer.subject.replaceAll("\n", ", ")}`);
  // A chain may stand between them, which is not looked into.
  return warning(
    NAME,
    `${what}: none of the ${authorities.length} authorities in the ca file signed the certificate itself`,
    "Where there is no intermediate in the cert file, put the authority that signed it into the ca file.",
  );
}

function identityOf({ what }: What, certificate: X509Certificate): Finding {
  const uris = [...(certificate.subjectAltName ?? "").matchAll(/URI:([^,\s]+)/g)].map(([, uri = ""]) => uri);
  const ids = uris.filter((uri) => uri.startsWith("spiffe://"));
  if (ids.length === 1) return ok(NAME, `${what}: it is ${ids[0]}`);
  return error(
    NAME,
    `${what}: the certificate has ${ids.length} SPIFFE ids among its alternative names`,
    "Other sidecars refuse it: it needs exactly one URI such as spiffe://DOMAIN/ns/default/dc/dc1/svc/NAME.",
  );
}

function blocks(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block),
  );
}

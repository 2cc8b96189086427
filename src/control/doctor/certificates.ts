import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Config } from "../../config/types.ts";
import { type Check, error, type Finding, messageOf, ok, warning } from "./finding.ts";

const NAME = "certificate";
/** Milliseconds before its end at which a certificate that nobody renews is worth a word. */
const SOON = 24 * 3_600_000;

interface Named {
  readonly what: string;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly ca: string | undefined;
  /** Other sidecars read an identity of it. */
  readonly identity: boolean;
}

/** Whether the certificates that stand in files can be read, belong to their keys, are signed by their authorities, and are in force. */
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
  if (tls !== undefined)
    found.push({ what: "discovery.consul.tls", cert: tls.cert, key: tls.key, ca: undefined, identity: false });
  return found;
}

async function checkFiles(named: Named, now: number): Promise<Finding[]> {
  if (named.cert === undefined) return [];
  let certificate: X509Certificate;
  let key: string | undefined;
  let authorities: X509Certificate[];
  try {
    certificate = new X509Certificate(await readFile(named.cert));
    key = named.key && (await readFile(named.key, "utf8"));
    authorities = named.ca === undefined ? [] : blocks(await readFile(named.ca, "utf8"));
  } catch (reason) {
    const remedy = "Mount PEM files that this user may read, or correct the paths.";
    return [error(NAME, `${named.what} cannot be read: ${messageOf(reason)}`, remedy)];
  }
  return [
    inForce(named, certificate, now),
    ...(key === undefined ? [] : [keyOf(named, certificate, key)]),
    ...(named.ca === undefined ? [] : [signerOf(named, certificate, authorities)]),
    ...(named.identity ? [identityOf(named, certificate)] : []),
  ];
}

function inForce({ what }: Named, certificate: X509Certificate, now: number): Finding {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const span = `${what} is in force from ${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;
  if (now < from) return error(NAME, `${span}: not yet`, "Correct the clock of this machine, or of the authority.");
  if (now >= to)
    return error(
      NAME,
      `${span}: it has expired`,
      "Renew it: every handshake is refused. The files are read again as they change.",
    );
  if (to - now < SOON) return warning(NAME, `${span}: it ends within a day`, "See that something renews it.");
  return ok(NAME, span);
}

function keyOf({ what }: Named, certificate: X509Certificate, key: string): Finding {
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

function signerOf({ what }: Named, certificate: X509Certificate, authorities: readonly X509Certificate[]): Finding {
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

function identityOf({ what }: Named, certificate: X509Certificate): Finding {
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

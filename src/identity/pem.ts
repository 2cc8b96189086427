import { X509Certificate } from "node:crypto";

/** Text that holds several PEM blocks, as files of chains and of authorities do: each block, in order. */
export function certificateBlocks(pem: string): string[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)].map(([block]) => `${block}\n`);
}

/** The certificates of a PEM text. Throws where one cannot be read. */
export function readCertificates(pem: string): X509Certificate[] {
  return certificateBlocks(pem).map((block) => new X509Certificate(block));
}

/** Certificates in DER, one after the other, as PEM. A string in place of a list is what is wrong with them. */
export function derToPem(octets: Uint8Array): string[] | string {
  const blocks: string[] = [];
  for (let at = 0; at < octets.length; ) {
    const end = derEnd(octets, at);
    if (end === undefined || end > octets.length) return "the certificates end in the middle of one";
    blocks.push(pemBlock("CERTIFICATE", octets.subarray(at, end)));
    at = end;
  }
  return blocks;
}

/** A PEM block, RFC 7468. */
export function pemBlock(label: string, der: Uint8Array): string {
  const text = Buffer.from(der).toString("base64");
  return `-----BEGIN ${label}-----\n${text.replaceAll(/.{64}(?=.)/g, "$&\n")}\n-----END ${label}-----\n`;
}

/** Where the DER sequence that begins at `at` ends (X.690 §8.1.3); undefined where none does. */
function derEnd(octets: Uint8Array, at: number): number | undefined {
  if (octets[at] !== 0x30) return undefined;
  const first = octets[at + 1];
  if (first === undefined) return undefined;
  if (first < 0x80) return at + 2 + first;
  const count = first & 0x7f;
  if (count === 0 || count > 4) return undefined;
  let length = 0;
  for (let index = 0; index < count; index++) length = length * 256 + (octets[at + 2 + index] ?? 0);
  return at + 2 + count + length;
}

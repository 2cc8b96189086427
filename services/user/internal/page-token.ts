import { createHash } from "node:crypto";

const VERSION = 1;
const CHECKSUM_BYTES = 6;

/**
 * The token of the page after an id: opaque to callers, so that its content may change. The checksum is against
 * tokens that were cut, mistyped or made up; it is no secret, since a token gives nothing that a call could not.
 */
export function pageTokenOf(id: string): string {
  const content = Buffer.concat([Buffer.of(VERSION), Buffer.from(id)]);
  return Buffer.concat([checksum(content), content]).toString("base64url");
}

/** The id in a page token, or undefined if this is no token of ours. */
export function idOfPageToken(token: string): string | undefined {
  const bytes = Buffer.from(token, "base64url");
  const content = bytes.subarray(CHECKSUM_BYTES);
  // The comparison of texts also refuses what base64 would have overlooked.
  if (content[0] !== VERSION || bytes.toString("base64url") !== token) return undefined;
  if (!checksum(content).equals(bytes.subarray(0, CHECKSUM_BYTES))) return undefined;
  return content.toString("utf8", 1);
}

function checksum(content: Buffer): Buffer {
  return createHash("sha256").update(content).digest().subarray(0, CHECKSUM_BYTES);
}

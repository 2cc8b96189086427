import { ConnectionError, ErrorCode } from "../errors.ts";

/** The dynamic tables of both ends can no longer be the same, so the connection is lost (RFC 9113 §4.3). */
export function compressionError(reason: string): ConnectionError {
  return new ConnectionError(ErrorCode.COMPRESSION_ERROR, `hpack: ${reason}`);
}

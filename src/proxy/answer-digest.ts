import { crc32 } from "node:zlib";
import type { Outcome } from "../http/call.ts";
import type { Head } from "../http/headers.ts";

/** Octets of a body that are digested; of what is behind them the number alone counts. */
const DIGESTED = 4_194_304;

/**
 * What is remembered of an answer while it passes, to compare it with another one: numbers, and the heads, which are interned.
 *
 * The digest is a CRC-32: it needs no object, and two different answers of one length agree in it once in 2^32 times.
 */
export class AnswerDigest {
  /** Octets of its body, and the digest of the first `DIGESTED` of them. */
  octets = 0;
  checksum = 0;
  readonly heads: Head[] = [];
  /** Its gRPC status; undefined until it is whole. */
  status: number | undefined = undefined;
  /** Nothing more comes, whether it is whole or not. */
  over = false;

  head(head: Head): void {
    this.heads.push(head);
  }

  data(buffer: Buffer, start: number, end: number): void {
    const last = Math.min(end, start + DIGESTED - this.octets);
    if (last > start) this.checksum = crc32(buffer.subarray(start, last), this.checksum);
    this.octets += end - start;
  }

  /** `outcome`: how it ended; undefined: it was given up. Only what the application said is an answer. */
  end(outcome: Outcome | undefined): void {
    this.over = true;
    if (outcome?.reason === undefined && outcome?.detail === undefined) this.status = outcome?.status;
  }
}

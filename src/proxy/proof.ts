import type { Reason } from "../http/reason.ts";

/**
 * How it can be known that the application has not seen a call whose attempt failed, in the words of the log. Nothing else
 * counts: a connection that is lost once the head may have left proves nothing, whatever came back. (`kept` is no proof either: it is
 * the one case in which HTTP/1.1 does not need any.)
 */
export const proofs = {
  /** Of our own: the connection was gone before the end of the head left. */
  unsent: "the connection was lost before the call had left",
  /** RFC 9113 §6.8: streams above the last one of a GOAWAY were not and will not be processed. */
  goaway: "the peer's GOAWAY says that it has not processed the stream",
  /** RFC 9113 §8.7: REFUSED_STREAM says that the stream was closed before any processing. */
  refused: "the peer refused the stream before processing it",
  /** HTTP/1.1: RFC 9112 §9.3.1 has a client repeat such a request by itself. */
  kept: "a kept connection ended as the request left, whose method is idempotent and which has no body",
  /** A sidecar that was dialled for this call says that its application has not seen it. */
  sidecar: "the called sidecar says that its application has not seen the call",
} as const;

/** Why the application has provably not seen a request. */
export type Proof = keyof typeof proofs;

/** A proof in words. A sidecar says `reason` as well: why its application has not seen the call. */
export function wordsOf(proof: Proof, reason: Reason | undefined): string {
  return proof === "sidecar" ? `${proofs.sidecar}: ${reason ?? ""}` : proofs[proof];
}

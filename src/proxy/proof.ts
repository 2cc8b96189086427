/**
 * How it can be known that the application has not seen a call whose attempt failed, in the words of the log. Nothing else
 * counts: a connection that is lost once the head may have left proves nothing, whatever came back.
 */
export const proofs = {
  /** Of our own: the connection was gone before the end of the head left. */
  unsent: "the connection was lost before the call had left",
  /** RFC 9113 §6.8: streams above the last one of a GOAWAY were not and will not be processed. */
  goaway: "the peer's GOAWAY says that it has not processed the stream",
  /** RFC 9113 §8.7: REFUSED_STREAM says that the stream was closed before any processing. */
  refused: "the peer refused the stream before processing it",
  /** A sidecar that was dialled for this call says that its application has not seen it. */
  sidecar: "the called sidecar says that its application has not seen the call",
} as const;

export type Proof = keyof typeof proofs;

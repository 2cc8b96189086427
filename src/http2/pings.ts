/** PINGs that have been sent and not been acknowledged, RFC 9113 §6.7. */
export class Pings {
  private sent: { readonly payload: Buffer; readonly done: () => void }[] = [];

  /** The payload of a new one. */
  add(now: number, done: () => void): Buffer {
    const payload = Buffer.alloc(8);
    payload.writeDoubleBE(now, 0);
    this.sent.push({ payload, done });
    return payload;
  }

  /** Whether there is one with that payload, which is over now. */
  acknowledged(payload: Buffer): boolean {
    const at = this.sent.findIndex((ping) => ping.payload.equals(payload));
    if (at >= 0) this.sent.splice(at, 1)[0]?.done();
    return at >= 0;
  }
}

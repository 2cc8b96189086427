/** Octets before each gRPC message: a flag and the length. */
const PREFIX = 5;

/** Follows the gRPC messages in a flow of octets, to know when one is complete and another may be put between two. */
export class MessageBoundary {
  /** Octets of the next message's prefix that have passed. */
  private prefix = 0;
  private length = 0;
  /** Octets of the message that have yet to pass. */
  private left = 0;

  /** Whether what has passed ends with a whole message. */
  get between(): boolean {
    return this.prefix === 0 && this.left === 0;
  }

  passed(buffer: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.left > 0) {
        const octets = Math.min(this.left, end - at);
        this.left -= octets;
        at += octets;
        continue;
      }
      if (this.prefix > 0) this.length = this.length * 256 + buffer.readUInt8(at);
      at++;
      if (++this.prefix < PREFIX) continue;
      this.left = this.length;
      this.prefix = 0;
      this.length = 0;
    }
  }
}

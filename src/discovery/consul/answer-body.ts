import type { IncomingMessage } from "node:http";
import { Writable } from "node:stream";

/**
 * Takes the body of one answer, and tells what the HTTP client keeps silent about: that it was cut short (which would
 * otherwise look like a body that never ends), or that it is larger than anybody should keep.
 */
export class AnswerBody extends Writable {
  /** Set as soon as the answer cannot become good any more. */
  failure: string | undefined;
  private readonly chunks: Buffer[] = [];
  private size = 0;

  constructor(limit: number, onFailure: () => void) {
    const fail = (why: string) => {
      if (this.failure !== undefined) return;
      this.failure = why;
      onFailure();
    };
    super({
      write: (chunk: Buffer, _encoding, done) => {
        this.size += chunk.length;
        if (this.size > limit) fail(`sent an answer of more than ${limit} bytes`);
        else this.chunks.push(chunk);
        done();
      },
    });
    this.once("pipe", (answer: IncomingMessage) => {
      answer.once("close", () => {
        if (!answer.complete) fail("cut its answer short");
      });
    });
  }

  text(): string {
    return Buffer.concat(this.chunks).toString("utf8");
  }
}

import type { Head } from "../../http/headers.ts";
import type { Reason } from "../../http/reason.ts";
import type { Connection, Http2Services } from "../../http2/connection.ts";
import { ErrorCode, errorCodeName } from "../../http2/errors.ts";
import type { Stream, StreamAbort, StreamHandler } from "../../http2/stream.ts";
import type { Pool } from "./pool.ts";
import type { Waiter } from "./waiting-line.ts";

/** One request of our own, and what its answer comes to. */
export interface Question<A> {
  readonly fields: Iterable<readonly [name: string, value: string]>;
  readonly body: Buffer | undefined;
  /** The answer's octets that are read at most; 1024 by default. */
  readonly most?: number;
  /** The answer, where its head is enough to say. */
  onHead(head: Head): A | undefined;
  /** `last`: the trailers, or the head where there are none. */
  onEnd(octets: Buffer, last: Head): A;
  onFailure(message: string): A;
}

/** The answer's octets that are read: some are six. */
const MAX_ANSWER = 1024;

/** Asks over one of the pool's connections, within `timeout` milliseconds, connecting included. Never rejects. */
export function askPool<A>(pool: Pool, question: Question<A>, timeout: number, services: Http2Services): Promise<A> {
  return new Promise((resolve) => new Asking(question, timeout, services, resolve).start(pool));
}

/** One question. Invariant: once it is settled there is no timer, no place in a line and no stream, and so no second answer. */
class Asking<A> implements StreamHandler, Waiter {
  private readonly question: Question<A>;
  private readonly timeout: number;
  private readonly services: Http2Services;
  private readonly resolve: (answer: A) => void;
  private stop: () => void = () => {};
  private stream: Stream | undefined = undefined;
  private octets = Buffer.alloc(0);
  private head: Head | undefined = undefined;

  constructor(question: Question<A>, timeout: number, services: Http2Services, resolve: (answer: A) => void) {
    this.question = question;
    this.timeout = timeout;
    this.services = services;
    this.resolve = resolve;
  }

  start(pool: Pool): void {
    const { timeout } = this;
    const late = (): void => this.fail(`no answer to a health check within ${timeout} ms`);
    const timer = this.services.clock.setTimer(timeout, late);
    this.stop = () => timer.cancel();
    const connection = pool.ready();
    if (connection !== undefined) {
      this.onConnection(connection);
      return;
    }
    const giveUp = pool.wait(this);
    this.stop = () => {
      timer.cancel();
      giveUp();
    };
  }

  onConnection(connection: Connection): void {
    const { fields, body } = this.question;
    this.stream = connection.openStream(this.services.headers.head(fields), body === undefined, this);
    if (body !== undefined) this.stream.sendData(body, 0, body.length, true);
  }

  onFailed(_reason: Reason, message: string): void {
    this.fail(message);
  }

  onInformational(): void {}

  onHead(head: Head, end: boolean): void {
    this.head = head;
    const answer = this.question.onHead(head);
    if (answer !== undefined) this.settle(answer);
    else if (end) this.settle(this.question.onEnd(this.octets, head));
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    this.stream?.release(end - start);
    this.octets = Buffer.concat([this.octets, buffer.subarray(start, end)]);
    if (this.octets.length > (this.question.most ?? MAX_ANSWER)) this.fail("the answer to a health check is too long");
    else if (fin && this.head !== undefined) this.settle(this.question.onEnd(this.octets, this.head));
  }

  onTrailers(head: Head): void {
    this.settle(this.question.onEnd(this.octets, head));
  }

  onSent(): void {}

  onAbort(abort: StreamAbort): void {
    this.fail(`a health check ended early: ${describe(abort)}`);
  }

  private fail(message: string): void {
    this.settle(this.question.onFailure(message));
  }

  private settle(answer: A): void {
    this.stop();
    this.stream?.reset(ErrorCode.CANCEL);
    this.resolve(answer);
  }
}

function describe(abort: StreamAbort): string {
  switch (abort.kind) {
    case "reset":
      return `the stream was reset with ${errorCodeName(abort.code)}`;
    case "unprocessed":
      return "the connection is going away";
    case "broken":
    case "lost":
    case "unsent":
    case "violation":
      return abort.reason;
  }
}

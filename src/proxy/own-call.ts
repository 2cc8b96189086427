import type { Deadline } from "../core/deadlines.ts";
import { Call, type Failure, type Outcome } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { Status, statusName } from "../http/reason.ts";
import { ErrorCode } from "../http2/errors.ts";
import { Attempt, type AttemptHost } from "./attempt.ts";
import { RequestBody } from "./request-body.ts";
import type { ExchangeServices } from "./services.ts";
import type { Destination } from "./target.ts";
import type { WaitingRoom } from "./waiting-room.ts";

/** What came of a call of our own: the answer's message, or why there is none. */
export type OwnAnswer = { readonly message: Buffer } | { readonly failed: string };

/** Octets of an answer that are read. */
const MAX_ANSWER = 1_048_576;
/** gRPC's "Length-Prefixed-Message": an octet that says whether it is compressed, and four of length. */
const PREFIX = 5;

/**
 * A unary gRPC call that this sidecar makes for itself, to a service that is found, balanced and reached as calls of the application are.
 *
 * Invariant: once it is over it has left the room and has no stream, timer or octet left, and `done` was called once, unless it was
 * stopped.
 */
export class OwnCall implements AttemptHost {
  readonly call: Call;
  readonly services: ExchangeServices;
  readonly body: RequestBody;
  readonly fromSidecar = false;
  readonly hops = 0;
  headSent = false;
  private readonly done: (answer: OwnAnswer) => void;
  private readonly room: WaitingRoom;
  private readonly attempt: Attempt;
  private readonly patience: Deadline;
  private readonly chunks: Buffer[] = [];
  private octets = 0;
  private over = false;

  /** `timeout`: milliseconds for all of it. `room`: has been entered, and is left when the call is over. */
  constructor(
    to: Destination,
    head: Head,
    message: Buffer,
    timeout: number,
    room: WaitingRoom,
    services: ExchangeServices,
    done: (answer: OwnAnswer) => void,
  ) {
    const now = services.loop.now();
    this.services = services;
    this.done = done;
    this.room = room;
    this.call = new Call("outbound", "", head, head.get(":path") ?? "", true, now);
    this.call.upstream = to.name;
    this.call.deadline = { at: now + timeout, by: "policy" };
    this.body = new RequestBody(room, true, () => {});
    this.patience = services.deadlines.arm(now + timeout, () => this.end({ failed: `no answer within ${timeout} ms` }));
    this.attempt = new Attempt(to, this);
    const framed = Buffer.alloc(PREFIX + message.length);
    framed.writeUInt32BE(message.length, 1);
    message.copy(framed, PREFIX);
    if (this.body.keep(framed, 0, framed.length, Number.POSITIVE_INFINITY)) this.attempt.start();
    else this.end({ failed: "too many octets of questions wait already" });
  }

  /** Nobody waits for it any more. */
  stop(): void {
    this.end(undefined);
  }

  private end(answer: OwnAnswer | undefined): void {
    if (this.over) return;
    this.over = true;
    this.services.deadlines.disarm(this.patience);
    this.attempt.stop(ErrorCode.CANCEL);
    this.body.forget();
    this.room.leave();
    if (answer !== undefined) this.done(answer);
  }

  // --- what its attempt tells ---

  onWait(): boolean {
    return !this.over;
  }

  onSending(): boolean {
    return !this.over;
  }

  expired(): undefined {
    return undefined;
  }

  passInformational(): void {}

  passHead(): void {
    this.headSent = true;
  }

  passData(buffer: Buffer, start: number, end: number): number {
    this.octets += end - start;
    if (this.octets > MAX_ANSWER) this.end({ failed: `the answer is over ${MAX_ANSWER} octets` });
    // The buffer is its reader's again when this returns.
    else this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    return end - start;
  }

  passTrailers(): void {}

  answered({ status }: Outcome, _attempt: Attempt, last: Head | undefined): void {
    if (status === Status.OK) this.end(messageOf(Buffer.concat(this.chunks)));
    else this.end({ failed: [statusName(status), last?.get("grpc-message")].filter(Boolean).join(": ") });
  }

  failed({ reason, log, detail }: Failure): void {
    this.end({ failed: [reason, log ?? detail].filter((text) => text !== "").join(": ") });
  }

  upstreamGone(): void {}
}

function messageOf(octets: Buffer): OwnAnswer {
  const isWhole = octets.length >= PREFIX && octets[0] === 0 && octets.readUInt32BE(1) === octets.length - PREFIX;
  return isWhole ? { message: octets.subarray(PREFIX) } : { failed: "the answer is not one message, uncompressed" };
}

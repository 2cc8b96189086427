import { Call, type Failure, type Outcome } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { Status, statusName } from "../http/reason.ts";
import type { Attempt } from "./attempt.ts";
import type { ExchangeServices } from "./services.ts";
import { SideCall } from "./side-call.ts";
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
 * Invariant: once it is over `done` was called once, unless it was stopped.
 */
export class OwnCall extends SideCall {
  private readonly done: (answer: OwnAnswer) => void;
  private readonly timeout: number;
  private readonly chunks: Buffer[] = [];
  private octets = 0;

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
    const call = new Call("outbound", "", head, head.get(":path") ?? "", true, now);
    call.upstream = to.name;
    call.deadline = { at: now + timeout, by: "policy" };
    super(to, call, true, timeout, room, services);
    this.done = done;
    this.timeout = timeout;
    const framed = Buffer.alloc(PREFIX + message.length);
    framed.writeUInt32BE(message.length, 1);
    message.copy(framed, PREFIX);
    if (this.body.keep(framed, 0, framed.length, Number.POSITIVE_INFINITY)) this.attempt.start();
    else this.end({ failed: "too many octets of questions wait already" });
  }

  /** Nobody waits for it any more. */
  stop(): void {
    this.finish();
  }

  protected late(): void {
    this.end({ failed: `no answer within ${this.timeout} ms` });
  }

  private end(answer: OwnAnswer): void {
    if (this.finish()) this.done(answer);
  }

  // --- what its attempt tells ---

  override passHead(): void {
    this.headSent = true;
  }

  passData(buffer: Buffer, start: number, end: number): number {
    this.octets += end - start;
    if (this.octets > MAX_ANSWER) this.end({ failed: `the answer is over ${MAX_ANSWER} octets` });
    // The buffer is its reader's again when this returns.
    else this.chunks.push(Buffer.from(buffer.subarray(start, end)));
    return end - start;
  }

  answered({ status }: Outcome, _attempt: Attempt, last: Head | undefined): void {
    if (status === Status.OK) this.end(messageOf(Buffer.concat(this.chunks)));
    else this.end({ failed: [statusName(status), last?.get("grpc-message")].filter(Boolean).join(": ") });
  }

  failed({ reason, log, detail }: Failure): void {
    this.end({ failed: [reason, log ?? detail].filter((text) => text !== "").join(": ") });
  }
}

function messageOf(octets: Buffer): OwnAnswer {
  const isWhole = octets.length >= PREFIX && octets[0] === 0 && octets.readUInt32BE(1) === octets.length - PREFIX;
  return isWhole ? { message: octets.subarray(PREFIX) } : { failed: "the answer is not one message, uncompressed" };
}

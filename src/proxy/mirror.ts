import type { Deadline } from "../core/deadlines.ts";
import { Call, type Failure } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { ErrorCode } from "../http2/errors.ts";
import { Attempt, type AttemptHost } from "./attempt.ts";
import { RequestBody } from "./request-body.ts";
import type { ExchangeServices } from "./services.ts";
import { resolved, type Target } from "./target.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** Mirrored calls of a route at once; one more is not mirrored. */
const MAX_CALLS = 100;
/** Octets of a mirrored request that wait for its upstream, of one call and of all; with more it is dropped. */
const MAX_BEHIND = 262_144;
const MAX_KEPT = 4_194_304;
/** Milliseconds that a mirrored call may take. */
const LONGEST = 30_000;

/** Copies a share of the calls of a route to another upstream. Nobody waits for it, and nothing of it reaches the caller. */
export class Mirror {
  readonly name: string;
  readonly share: number;
  private readonly target: () => Target | undefined;
  private readonly random: () => number;
  private readonly room = new WaitingRoom({ calls: MAX_CALLS, octets: MAX_KEPT, time: LONGEST });
  /** Calls copied whole, given up because their upstream was behind, without an answer, and not begun for want of room. */
  readonly counts = { mirrored: 0, dropped: 0, failed: 0, skipped: 0 };

  /** `name`: of its route. `target`: where the copies go, asked for each. `random`: uniform in [0, 1). */
  constructor(name: string, share: number, target: () => Target | undefined, random: () => number) {
    this.name = name;
    this.share = share;
    this.target = target;
    this.random = random;
  }

  /** Begins a copy of a call, with what there is of its request; undefined where this one is not mirrored. */
  begin(call: Call, body: RequestBody, services: ExchangeServices): MirroredCall | undefined {
    if (this.random() >= this.share) return undefined;
    const copy = copyOf(call, services);
    const target = resolved(copy, this.target());
    if (target === undefined || !body.complete || !this.room.enter()) {
      this.counts.skipped++;
      return undefined;
    }
    copy.upstream = target.name;
    return new MirroredCall(this, target, copy, body, services, this.room);
  }
}

/** The same call once more, from its head on. */
function copyOf({ direction, peer, head, path, grpc, deadline }: Call, { loop }: ExchangeServices): Call {
  const copy = new Call(direction, peer, head, path, grpc, loop.now());
  copy.deadline = deadline;
  return copy;
}

/** One copy of a call. Invariant: it has left the room, and has no stream, timer or octet left, once it is `over`. */
export class MirroredCall implements AttemptHost {
  readonly call: Call;
  readonly services: ExchangeServices;
  readonly body: RequestBody;
  readonly fromSidecar = false;
  readonly hops = 0;
  readonly headSent = false;
  private readonly mirror: Mirror;
  private readonly room: WaitingRoom;
  private readonly attempt: Attempt;
  private readonly patience: Deadline;
  /** Octets of the request that were given to its stream. */
  private given = 0;
  private over = false;

  constructor(
    mirror: Mirror,
    target: Target,
    call: Call,
    body: RequestBody,
    services: ExchangeServices,
    room: WaitingRoom,
  ) {
    this.mirror = mirror;
    this.services = services;
    this.room = room;
    this.call = call;
    this.body = new RequestBody(room, body.ended, () => {});
    body.copyTo(this.body);
    this.given = this.body.size;
    this.patience = services.deadlines.arm(services.loop.now() + LONGEST, () => this.end("failed"));
    this.attempt = new Attempt(target, this);
    if (this.body.complete) this.attempt.start();
    else this.end("dropped");
  }

  /** A part of the request, as its caller sends it. */
  data(buffer: Buffer, start: number, end: number, fin: boolean): void {
    if (this.over) return;
    if (fin) this.body.ended = true;
    this.given += end - start;
    if (this.given - this.attempt.taken > MAX_BEHIND) this.end("dropped");
    else if (!this.attempt.data(buffer, start, end, fin)) {
      if (!this.body.keep(buffer, start, end, MAX_BEHIND)) this.end("dropped");
    } else if (this.body.complete) this.body.forget();
  }

  trailers(head: Head): void {
    if (this.over) return;
    this.body.ended = true;
    this.body.trailers = head;
    this.attempt.trailers(head);
  }

  /** The call is over: where its request was not whole by then, it never will be. */
  stop(): void {
    if (!this.body.ended) this.end("dropped");
  }

  private end(how: "mirrored" | "dropped" | "failed"): void {
    if (this.over) return;
    this.over = true;
    this.mirror.counts[how]++;
    this.services.deadlines.disarm(this.patience);
    this.attempt.stop(ErrorCode.CANCEL);
    this.body.forget();
    this.room.leave();
  }

  // --- what its attempt tells, none of which anybody hears ---

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
  passHead(): void {}
  passTrailers(): void {}

  passData(_buffer: Buffer, start: number, end: number): number {
    return end - start;
  }

  answered(): void {
    this.end("mirrored");
  }

  failed(_what: Failure): void {
    this.end("failed");
  }

  upstreamGone(): void {}
}

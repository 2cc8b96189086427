import { Call } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import type { RequestBody } from "./request-body.ts";
import type { ExchangeServices } from "./services.ts";
import { SideCall } from "./side-call.ts";
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
  private readonly room: WaitingRoom;
  /** Calls copied whole, given up because their upstream was behind, without an answer, and not begun for want of room. */
  readonly counts: { mirrored: number; dropped: number; failed: number; skipped: number };

  /**
   * `name`: of its route. `target`: where the copies go, asked for each. `random`: uniform in [0, 1). `before`: the one that it takes the
   * place of; copies that are under way count and take room here as well.
   */
  constructor(name: string, share: number, target: () => Target | undefined, random: () => number, before?: Mirror) {
    this.room = before?.room ?? new WaitingRoom({ calls: MAX_CALLS, octets: MAX_KEPT, time: LONGEST });
    this.counts = before?.counts ?? { mirrored: 0, dropped: 0, failed: 0, skipped: 0 };
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

/** Milliseconds that a copy may take: not longer than the call itself. */
function timeOf({ deadline }: Call, { loop }: ExchangeServices): number {
  return deadline === undefined ? LONGEST : Math.min(LONGEST, deadline.at - loop.now());
}

/** One copy of a call. */
export class MirroredCall extends SideCall {
  private readonly mirror: Mirror;
  /** Octets of the request that were given to its stream. */
  private given = 0;

  constructor(
    mirror: Mirror,
    target: Target,
    call: Call,
    body: RequestBody,
    services: ExchangeServices,
    room: WaitingRoom,
  ) {
    super(target, call, body.ended, timeOf(call, services), room, services);
    this.mirror = mirror;
    body.copyTo(this.body);
    this.given = this.body.size;
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

  protected late(): void {
    this.end("failed");
  }

  private end(how: "mirrored" | "dropped" | "failed"): void {
    if (this.finish()) this.mirror.counts[how]++;
  }

  // --- what its attempt tells, none of which anybody hears ---

  passData(_buffer: Buffer, start: number, end: number): number {
    return end - start;
  }

  answered(): void {
    this.end("mirrored");
  }

  failed(): void {
    this.end("failed");
  }
}

import type { SparingLog } from "../core/sparing-log.ts";
import { Call, type Outcome } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { type Compared, type ComparisonResult, MirrorComparison } from "./mirror-comparison.ts";
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

/** `mirror` of a route. */
export interface MirrorOptions {
  /** The name of the upstream that gets the copies. */
  readonly to: string;
  readonly share: number;
  /** How far its answers are compared with those that callers get. */
  readonly compare: "none" | Compared;
  /** Metadata that may differ. */
  readonly ignore: readonly string[];
}

/** What a mirror needs. */
export interface MirrorServices {
  /** Where the copies go, asked for each. */
  readonly target: () => Target | undefined;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Hears of answers that differ. */
  readonly differences: SparingLog;
}

/** Copies a share of the calls of a route to another upstream. Nobody waits for it, and nothing of it reaches the caller. */
export class Mirror {
  /** Of its route. */
  readonly name: string;
  readonly options: MirrorOptions;
  private readonly mirrorServices: MirrorServices;
  private readonly ignore: ReadonlySet<string>;
  private readonly room: WaitingRoom;
  /** Calls copied whole, given up because their upstream was behind, without an answer, and not begun for want of room. */
  readonly counts: { mirrored: number; dropped: number; failed: number; skipped: number };
  /** Answers that were compared. */
  readonly compared: Record<ComparisonResult, number>;

  /** `before`: the one that it takes the place of; copies that are under way count and take room here as well. */
  constructor(name: string, options: MirrorOptions, services: MirrorServices, before?: Mirror) {
    this.room = before?.room ?? new WaitingRoom({ calls: MAX_CALLS, octets: MAX_KEPT, time: LONGEST });
    this.counts = before?.counts ?? { mirrored: 0, dropped: 0, failed: 0, skipped: 0 };
    this.compared = before?.compared ?? { same: 0, status: 0, length: 0, messages: 0, metadata: 0, incomplete: 0 };
    this.name = name;
    this.options = options;
    this.mirrorServices = services;
    this.ignore = new Set(options.ignore);
  }

  /** Begins a copy of a call, with what there is of its request; undefined where this one is not mirrored. */
  begin(call: Call, body: RequestBody, services: ExchangeServices): MirroredCall | undefined {
    const { random, target: find } = this.mirrorServices;
    // Nobody answers the copy of a conversation.
    if (call.webSocket || random() >= this.options.share) return undefined;
    const copy = copyOf(call, services);
    const target = resolved(copy, find());
    if (target === undefined || !body.complete || !this.room.enter()) {
      this.counts.skipped++;
      return undefined;
    }
    copy.upstream = target.name;
    return new MirroredCall(this, target, copy, body, services, this.room, this.comparison(call, services));
  }

  private comparison(call: Call, { explanations }: ExchangeServices): MirrorComparison | undefined {
    const { compare, to } = this.options;
    if (compare === "none") return undefined;
    return new MirrorComparison(call, {
      by: compare,
      ignore: this.ignore,
      counts: this.compared,
      route: this.name,
      to,
      differences: this.mirrorServices.differences,
      idOf: (of) => explanations.idOf(of),
    });
  }
}

/** The same call once more, from its head on. */
function copyOf({ direction, peer, head, path, grpc, deadline, caller }: Call, { loop }: ExchangeServices): Call {
  const copy = new Call(direction, peer, head, path, grpc, loop.now());
  // Where it has to wait it comes behind its caller's own calls: what is nobody's goes before everybody's.
  copy.caller = caller;
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
  /** Where its answer is compared with that of the call: told of both. */
  readonly comparison: MirrorComparison | undefined;

  constructor(
    mirror: Mirror,
    target: Target,
    call: Call,
    body: RequestBody,
    services: ExchangeServices,
    room: WaitingRoom,
    comparison: MirrorComparison | undefined,
  ) {
    super(target, call, body.ended, timeOf(call, services), room, services);
    this.mirror = mirror;
    this.comparison = comparison;
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
  stop(outcome: Outcome): void {
    if (!this.body.ended) this.end("dropped");
    this.comparison?.end("original", outcome);
  }

  protected late(): void {
    this.end("failed");
  }

  private end(how: "mirrored" | "dropped" | "failed", outcome?: Outcome): void {
    if (!this.finish()) return;
    this.mirror.counts[how]++;
    this.comparison?.end("copy", outcome);
  }

  // --- what its attempt tells, none of which anybody hears ---

  override passHead(head: Head): void {
    this.comparison?.head("copy", head);
  }

  passData(buffer: Buffer, start: number, end: number): number {
    this.comparison?.data("copy", buffer, start, end);
    return end - start;
  }

  override passTrailers(head: Head): void {
    this.comparison?.head("copy", head);
  }

  answered(outcome: Outcome): void {
    this.end("mirrored", outcome);
  }

  failed(): void {
    this.end("failed");
  }
}

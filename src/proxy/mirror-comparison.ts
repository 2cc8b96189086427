import type { SparingLog } from "../core/sparing-log.ts";
import type { Call, Outcome } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { statusName } from "../http/reason.ts";
import { traceContextOf } from "../http/trace-context.ts";
import { AnswerDigest } from "./answer-digest.ts";

/** How much of two answers has to agree; each word includes those before it. */
export type Compared = "status" | "messages" | "metadata";

/**
 * What came of comparing two answers: `same`, what they differ in, the first of these in this order; or `incomplete`: one of them
 * was no whole answer of an application.
 */
export type ComparisonResult = "same" | "status" | "length" | "messages" | "metadata" | "incomplete";

/** What mirrored calls of a route are compared by, and where it is counted. */
export interface ComparisonOptions {
  readonly by: Compared;
  /** Fields that may differ, by lower-case name. */
  readonly ignore: ReadonlySet<string>;
  readonly counts: Record<ComparisonResult, number>;
  readonly route: string;
  /** The name of the upstream that has the copies. */
  readonly to: string;
  /** Hears of each difference, and tells some. */
  readonly differences: SparingLog;
  /** The call's id for people. */
  readonly idOf: (call: Call) => string;
}

/** Fields that say something of the moment, of the instance or of the way, and not of the answer; those of a sidecar as well. */
const OF_THE_WAY =
  /^(:.*|date|server|via|age|traceparent|tracestate|endpoint-load-metrics.*|grpc-previous-rpc-attempts|outrigger-.*)$/;

/** Compares the answer of a call with that of its copy as both pass. Nothing waits for it and nothing of them is kept. */
export class MirrorComparison {
  private readonly options: ComparisonOptions;
  private readonly call: Call;
  private readonly original = new AnswerDigest();
  private readonly copy = new AnswerDigest();

  constructor(call: Call, options: ComparisonOptions) {
    this.call = call;
    this.options = options;
  }

  head(of: "original" | "copy", head: Head): void {
    this[of].head(head);
  }

  data(of: "original" | "copy", buffer: Buffer, start: number, end: number): void {
    if (this.options.by !== "status") this[of].data(buffer, start, end);
  }

  /** One of them has its end, once; with the second one it is known what came of it. */
  end(of: "original" | "copy", outcome: Outcome | undefined): void {
    this[of].end(outcome);
    if (!this.original.over || !this.copy.over) return;
    const { counts, route, to, differences, idOf } = this.options;
    const { call } = this;
    const result = this.result();
    counts[result]++;
    const words = this.words(result);
    call.note("compared", `${to}: ${words}`);
    if (result === "same" || result === "incomplete") return;
    const trace = call.trace ?? traceContextOf(call.head);
    differences.tell({
      route,
      upstream: to,
      call_id: idOf(call),
      trace_id: trace?.traceId,
      result,
      detail: words,
    });
  }

  private result(): ComparisonResult {
    const { original, copy, options } = this;
    const { by } = options;
    if (original.status === undefined || copy.status === undefined) return "incomplete";
    if (original.status !== copy.status || httpStatus(original) !== httpStatus(copy)) return "status";
    if (original.octets !== copy.octets) return "length";
    if (original.checksum !== copy.checksum) return "messages";
    return by === "metadata" && this.metadata(original) !== this.metadata(copy) ? "metadata" : "same";
  }

  /** The fields of both heads: whether one of them is a Trailers-Only answer is no difference. */
  private metadata({ heads }: AnswerDigest): string {
    const { ignore } = this.options;
    const fields: string[] = [];
    for (const head of heads)
      for (const [name, value] of head.entries())
        if (!ignore.has(name) && !OF_THE_WAY.test(name)) fields.push(`${name}\0${value}`);
    return fields.sort().join("\0\0");
  }

  /** Never what stood in them. */
  private words(result: ComparisonResult): string {
    const { original, copy } = this;
    switch (result) {
      case "same":
        return "the same answer";
      case "status":
        return `status ${this.statusOf(copy)} instead of ${this.statusOf(original)}`;
      case "length":
        return `${copy.octets} octets of messages instead of ${original.octets}`;
      case "messages":
        return `other messages of the same length, ${copy.octets} octets`;
      case "metadata":
        return "other metadata";
      case "incomplete":
        return original.status === undefined ? "the call had no whole answer" : "the copy had no whole answer";
    }
  }

  private statusOf(answer: AnswerDigest): string {
    return this.call.grpc ? statusName(answer.status ?? 0) : httpStatus(answer);
  }
}

function httpStatus({ heads }: AnswerDigest): string {
  return heads[0]?.get(":status") ?? "";
}

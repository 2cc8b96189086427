import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import type { Clock } from "../../core/clock.ts";
import type { Call, Outcome } from "../../http/call.ts";
import type { Fact } from "../../http/decision.ts";
import { withField } from "../../http/head-edit.ts";
import { Head, type HeaderList, type HeaderTable } from "../../http/headers.ts";
import { type CallTrace, traceContextOf, traceFields } from "../../http/trace-context.ts";
import { Ids } from "./ids.ts";
import type { TracingOptions } from "./options.ts";
import { Propagation } from "./propagation.ts";
import { SpanQueue } from "./span-queue.ts";
import { spansOf } from "./spans-of-call.ts";

/** Fields of a trace context. */
const FIELDS: ReadonlySet<string> = new Set(["traceparent", "b3", "x-b3-traceid"]);
/** B3 without ids: this trace is not recorded. The same for every call, so it costs next to nothing to say. */
const DENIAL = "x-b3-sampled";
const NO_FACTS: readonly Fact[] = [];

/** What tracing needs. */
export interface TracerServices {
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly service: string;
  readonly version: string;
  /** How people call this call, see `Explanations.idOf`. */
  readonly idOf: (call: Call) => string;
}

/**
 * Which calls are part of a trace, what the next hop reads of it, and which spans tell of them.
 *
 * Invariants:
 * - a context that came in is replaced only where the span that replaces it is exported;
 * - whether a trace that could begin here is recorded is told to the next hop, so that nobody decides about it again;
 * - spans are made of what was recorded, after the call: a call that is not sampled makes none.
 */
export class Tracer {
  readonly propagation: Propagation;
  readonly queue: SpanQueue;
  readonly counts = { exported: 0, failed: 0 };
  private readonly services: TracerServices;
  private readonly ids: Ids;
  private options: TracingOptions | undefined = undefined;
  private lastList: HeaderList | undefined = undefined;
  private lastKnown: "nothing" | "denied" | "context" = "nothing";
  private readonly lost = new WeakSet<Call>();
  private changing: Promise<void> = Promise.resolve();
  private closeExport: () => Promise<void> = async () => {};

  constructor(services: TracerServices) {
    this.services = services;
    this.ids = new Ids(services.random);
    this.propagation = new Propagation(services.log);
    this.queue = new SpanQueue(services.clock);
  }

  /** Goes over to other options; without any nothing is traced. Spans that wait go to the new collector. */
  apply(options: TracingOptions | undefined): void {
    const before = this.options;
    this.options = options;
    const target = (of: TracingOptions | undefined): unknown => of && [of.otlp, of.protocol, of.headers];
    if (isDeepStrictEqual(target(before), target(options))) return;
    this.changing = this.changing.then(() => this.changeExport(options));
  }

  /** The call begins. */
  begin(call: Call): void {
    const { options } = this;
    if (options === undefined) return;
    const always = options.errors === "always";
    switch (this.knownOf(call.head)) {
      case "denied":
        return;
      case "nothing":
        break;
      case "context": {
        if (call.direction === "outbound") this.propagation.hasContext();
        // Neither recorded nor touched: nothing of it has to be known.
        if (!always && isUnrecorded(call.head.get("traceparent"))) return;
        const context = traceContextOf(call.head);
        if (context === undefined) break;
        const sampled = context.sampled ?? this.services.random() < options.sampling;
        if (!sampled && !always) return;
        this.enter(call, { ...context, parentId: context.spanId, sampled, spanIds: [] });
        return;
      }
    }
    if (call.direction === "outbound" && this.propagation.hasNone()) {
      this.lost.add(call);
      const parent = options.correlate === "singleFlight" ? this.propagation.only()?.trace : undefined;
      if (parent !== undefined) {
        const { format, traceId, sampled, spanIds } = parent;
        this.enter(call, { format, traceId, sampled, parentId: spanIds[0] ?? parent.parentId, spanIds: [] });
        return;
      }
    }
    const sampled = this.services.random() < options.sampling;
    if (sampled || always)
      this.enter(call, { format: "w3c", traceId: this.ids.trace(), parentId: undefined, sampled, spanIds: [] });
    else call.untraced = true;
  }

  /** What a head says of a trace, as far as its list tells; found out once for the list that came last. */
  private knownOf({ list }: Head): "nothing" | "denied" | "context" {
    if (list === this.lastList) return this.lastKnown;
    let known: "nothing" | "denied" | "context" = "nothing";
    for (const { name, value } of list.fields) {
      if (FIELDS.has(name)) known = "context";
      else if (name === DENIAL && value === "0" && known === "nothing") known = "denied";
    }
    if (list.kept) {
      this.lastList = list;
      this.lastKnown = known;
    }
    return known;
  }

  private enter(call: Call, trace: CallTrace): void {
    call.trace = trace;
    if (!trace.sampled) return;
    call.facts ??= [];
    if (call.direction === "inbound") this.propagation.begins(call);
  }

  /** The head as the next hop reads it, for the attempt that is made now. */
  inject(headers: HeaderTable, call: Call, head: Head): Head {
    const { trace } = call;
    if (trace === undefined) return call.untraced ? denied(headers, head) : head;
    if (!trace.sampled && trace.parentId !== undefined) return head;
    const { format, traceId, sampled, spanIds } = trace;
    const at = call.direction === "inbound" ? 0 : call.attempts - 1;
    spanIds[at] ??= this.ids.span();
    const spanId = spanIds[at];
    let next = head;
    for (const [name, value] of traceFields({ format, traceId, spanId, sampled }))
      next = withField(headers, next, name, value);
    if (format === "b3multi" && trace.parentId !== undefined && head.get("x-b3-parentspanid") !== undefined)
      next = withField(headers, next, "x-b3-parentspanid", trace.parentId);
    return next;
  }

  /** The call is over. */
  finish(call: Call, outcome: Outcome): void {
    const { trace } = call;
    if (trace === undefined) return;
    if (call.direction === "inbound") this.propagation.over(call);
    const { options } = this;
    if (options === undefined) return;
    const failed = outcome.status !== 0 && options.errors === "always";
    if (!trace.sampled && !failed) return;
    const { clock, idOf } = this.services;
    const offset = clock.wall() - clock.now();
    const source = {
      call,
      trace,
      outcome,
      facts: call.facts ?? NO_FACTS,
      id: idOf(call),
      wall: (at: number) => at + offset,
      newSpanId: () => this.ids.span(),
      contextLost: this.lost.has(call),
    };
    for (const span of spansOf(source)) this.queue.add(span);
  }

  /** Sends what waits, and ends. */
  async close(): Promise<void> {
    await this.changing;
    this.queue.flush();
    await this.closeExport();
    this.options = undefined;
  }

  private async changeExport(options: TracingOptions | undefined): Promise<void> {
    this.queue.flush();
    this.queue.exporter = undefined;
    await this.closeExport();
    this.closeExport = async () => {};
    if (options === undefined) return;
    const { service, version, log } = this.services;
    try {
      const { OtlpExport } = await import("./otlp-export.ts");
      const instance = `${service}-${process.pid}`;
      const exporter = new OtlpExport({ tracing: options, service, version, instance, log, counts: this.counts });
      this.queue.exporter = exporter;
      this.closeExport = () => exporter.close();
    } catch (error) {
      log.error({ err: error }, "spans cannot be exported: OpenTelemetry's packages could not be loaded");
    }
  }
}

/** Of W3C's flags, the last two of 55 characters, those that say nothing but that it is not recorded. */
function isUnrecorded(traceparent: string | undefined): boolean {
  return traceparent?.length === 55 && traceparent.endsWith("-00");
}

function denied(headers: HeaderTable, { list, values }: Head): Head {
  return new Head(headers.child(list, headers.field(headers.name(DENIAL), "0", false)), values);
}

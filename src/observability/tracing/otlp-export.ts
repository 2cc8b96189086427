import { Metadata } from "@grpc/grpc-js";
import { type Context, DiagLogLevel, diag, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as HttpExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { NodeSDK } from "@opentelemetry/sdk-node";
import { AlwaysOnSampler, BatchSpanProcessor, type IdGenerator, type SpanExporter } from "@opentelemetry/sdk-trace";
import type { Logger } from "pino";
import type { TracingOptions } from "./options.ts";
import type { SpanRecord } from "./span.ts";
import type { SpanExport } from "./span-queue.ts";

/** Spans in the SDK, being sent or waiting for it. */
const MOST = 2048;
/** Milliseconds for one export, and between two. */
const EXPORT_TIMEOUT = 10_000;
const INTERVAL = 1000;
/** Milliseconds for the last one. */
const LAST = 2000;

const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };

/** Where spans go, and whose they are. */
export interface OtlpExportOptions {
  readonly tracing: TracingOptions;
  readonly service: string;
  readonly version: string;
  readonly instance: string;
  readonly log: Logger;
  readonly counts: { exported: number; failed: number };
}

/**
 * Sends spans to a collector through OpenTelemetry's SDK. Loaded only where tracing is configured: the packages take some
 * 200 ms and 46 MB.
 */
export class OtlpExport implements SpanExport {
  private readonly sdk: NodeSDK;
  private readonly ids = new GivenIds();
  private readonly counts: OtlpExportOptions["counts"];
  private added = 0;
  private readonly before: number;

  constructor({ tracing, service, version, instance, log, counts }: OtlpExportOptions) {
    this.counts = counts;
    this.before = counts.exported + counts.failed;
    tell(log);
    const exporter = counting(exporterOf(tracing), counts);
    this.sdk = new NodeSDK({
      resource: resourceFromAttributes({
        "service.name": service,
        "service.instance.id": instance,
        "outrigger.version": version,
      }),
      autoDetectResources: true,
      sampler: new AlwaysOnSampler(),
      idGenerator: this.ids,
      spanProcessors: [
        new BatchSpanProcessor({
          exporter,
          maxQueueSize: MOST,
          maxExportBatchSize: 512,
          scheduledDelayMillis: INTERVAL,
          exportTimeoutMillis: EXPORT_TIMEOUT,
        }),
      ],
      spanLimits: { attributeCountLimit: 64, attributeValueLengthLimit: 1024, eventCountLimit: 64 },
      textMapPropagator: null,
      instrumentations: [],
      metricReaders: [],
      logRecordProcessors: [],
    });
    this.sdk.start();
  }

  get room(): number {
    return MOST - (this.added + this.before - this.counts.exported - this.counts.failed);
  }

  add(record: SpanRecord): void {
    this.added++;
    const { traceId, parentId, spanId, attributes, startedAt } = record;
    this.ids.next = { traceId, spanId };
    const parent: Context =
      parentId === undefined
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parentId, traceFlags: 1, isRemote: true });
    const options = { kind: kinds[record.kind], startTime: startedAt, attributes };
    const span = trace.getTracer("outrigger").startSpan(record.name, options, parent);
    for (const { name, at } of record.events) span.addEvent(name, at);
    if (record.error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: record.error });
    span.end(Math.max(startedAt, record.endedAt));
  }

  async close(): Promise<void> {
    const patience = AbortSignal.timeout(LAST);
    const given = new Promise<void>((resolve) => patience.addEventListener("abort", () => resolve(), { once: true }));
    // It rejects where the collector cannot be reached, which has been told already.
    await Promise.race([this.sdk.shutdown().catch(() => {}), given]);
    // Otherwise the next one could not take its place.
    trace.disable();
  }
}

/** The ids that were given away while the call was under way. */
class GivenIds implements IdGenerator {
  next = { traceId: "", spanId: "" };

  generateTraceId(): string {
    return this.next.traceId;
  }

  generateSpanId(): string {
    return this.next.spanId;
  }
}

function exporterOf({ otlp, protocol, headers }: TracingOptions): SpanExporter {
  if (protocol === "http") {
    const base = otlp.replace(/\/$/, "");
    const url = base.endsWith("/v1/traces") ? base : `${base}/v1/traces`;
    return new HttpExporter({ url, headers: Object.fromEntries(headers), timeoutMillis: EXPORT_TIMEOUT });
  }
  const metadata = new Metadata();
  for (const [name, value] of headers) metadata.set(name, value);
  return new GrpcExporter({ url: otlp, metadata, timeoutMillis: EXPORT_TIMEOUT });
}

function counting(exporter: SpanExporter, counts: OtlpExportOptions["counts"]): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        counts[result.code === 0 ? "exported" : "failed"] += spans.length;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}

/** What the SDK complains of, once until it is something else: a collector that is away would fill the log. */
function tell(log: Logger): void {
  let last = "";
  const complain = (...words: unknown[]): void => {
    const text = words.map((word) => (word instanceof Error ? word.message : String(word))).join(" ");
    const first = (/"message":"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text).slice(0, 300);
    if (first === last) return;
    last = first;
    log.warn({ detail: first }, "spans could not be exported");
  };
  const silent = (): void => {};
  diag.setLogger(
    { error: complain, warn: complain, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

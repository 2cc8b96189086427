import { setTimeout as sleep } from "node:timers/promises";
import { freePorts } from "./ports.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

/** A span as Jaeger's query API tells it. */
export interface JaegerSpan {
  readonly traceID: string;
  readonly spanID: string;
  readonly operationName: string;
  /** The service of the process that it came from. */
  readonly service: string;
  /** Microseconds since the Unix epoch, and of its length. */
  readonly startTime: number;
  readonly duration: number;
  readonly parent: string | undefined;
  readonly tags: ReadonlyMap<string, unknown>;
  readonly events: readonly string[];
  readonly warnings: readonly string[];
}

interface RawTrace {
  readonly processes: Readonly<Record<string, { readonly serviceName: string }>>;
  readonly spans: readonly {
    readonly traceID: string;
    readonly spanID: string;
    readonly operationName: string;
    readonly processID: string;
    readonly startTime: number;
    readonly duration: number;
    readonly references: readonly { readonly refType: string; readonly spanID: string }[];
    readonly tags: readonly { readonly key: string; readonly value: unknown }[];
    readonly logs: readonly { readonly fields: readonly { readonly key: string; readonly value: unknown }[] }[];
    readonly warnings: readonly string[] | null;
  }[];
}

/** A real Jaeger that keeps everything in memory. Guard the test with `skipUnless("jaeger")`. */
export class Jaeger {
  /** OTLP over gRPC and over HTTP. */
  readonly grpc: string;
  readonly http: string;
  private readonly query: string;
  private readonly running: RunningProcess;

  private constructor(running: RunningProcess, grpc: number, http: number, query: number) {
    this.running = running;
    this.grpc = `http://127.0.0.1:${grpc}`;
    this.http = `http://127.0.0.1:${http}`;
    this.query = `http://127.0.0.1:${query}`;
  }

  static async start(): Promise<Jaeger> {
    const [grpc = 0, http = 0, query = 0] = await freePorts(3);
    const port = (name: string, number: number): string => `--${name}.host-port=127.0.0.1:${number}`;
    const unused = ["admin.http", "collector.grpc-server", "collector.http-server", "query.grpc-server", "http-server"];
    const udp = ["jaeger-binary", "jaeger-compact", "zipkin-compact"];
    const running = await startProcess(requirePart("jaeger"), [
      port("collector.otlp.grpc", grpc),
      port("collector.otlp.http", http),
      port("query.http-server", query),
      ...unused.map((name) => port(name, 0)),
      ...udp.map((name) => `--processor.${name}.server-host-port=127.0.0.1:0`),
      "--log-level=warn",
    ]);
    const jaeger = new Jaeger(running, grpc, http, query);
    for (let tries = 0; !(await jaeger.answers()); tries++) {
      if (tries > 150) throw new Error(`Jaeger does not answer: ${running.stderr().slice(-2000)}`);
      await sleep(100);
    }
    return jaeger;
  }

  /** The spans of a trace once there are `count` of them, in the order of their start. */
  async trace(id: string, count: number): Promise<readonly JaegerSpan[]> {
    let spans: readonly JaegerSpan[] = [];
    for (let tries = 0; tries < 150; tries++) {
      spans = await this.ask(`/api/traces/${id}`);
      if (spans.length >= count) break;
      await sleep(100);
    }
    return spans.toSorted((one, other) => one.startTime - other.startTime);
  }

  /** Spans of a service, whatever their trace. */
  async spansOf(service: string): Promise<readonly JaegerSpan[]> {
    const spans = await this.ask(`/api/traces?service=${service}&limit=1000&lookback=1h`);
    return spans.filter((span) => span.service === service);
  }

  async stop(): Promise<void> {
    await this.running.kill();
  }

  private async ask(path: string): Promise<readonly JaegerSpan[]> {
    const { data }: { readonly data?: readonly RawTrace[] | null } = JSON.parse(
      await (await fetch(`${this.query}${path}`)).text(),
    );
    return (data ?? []).flatMap(spansOf);
  }

  private async answers(): Promise<boolean> {
    try {
      return (await fetch(`${this.query}/api/services`)).ok;
    } catch {
      return false;
    }
  }
}

function spansOf({ spans, processes }: RawTrace): JaegerSpan[] {
  return spans.map((span) => ({
    traceID: span.traceID,
    spanID: span.spanID,
    operationName: span.operationName,
    service: processes[span.processID]?.serviceName ?? "",
    startTime: span.startTime,
    duration: span.duration,
    parent: span.references.find(({ refType }) => refType === "CHILD_OF")?.spanID,
    tags: new Map(span.tags.map(({ key, value }) => [key, value])),
    events: span.logs.flatMap(({ fields }) => fields.map(({ value }) => String(value))),
    warnings: span.warnings ?? [],
  }));
}

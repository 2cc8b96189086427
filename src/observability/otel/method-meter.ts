import type { Call, Outcome } from "../../http/call.ts";
import type { CallMeter } from "../../http/call-meter.ts";
import { Durations } from "../durations.ts";
import { Histogram } from "../histogram.ts";

/** Octets, as gRFC A66 has them. */
const sizes: readonly number[] = [
  0, 1024, 2048, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864, 268_435_456,
  1_073_741_824, 4_294_967_296,
];
/** Further attempts, as A96 has them. */
const attempts: readonly number[] = [1, 2, 3, 4, 5];
/** Seconds. */
const delays: readonly number[] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** What ended in one way: how long it took, and the octets of bodies there and back. */
export class Ended {
  readonly durations = new Durations();
  readonly sent = new Histogram(sizes);
  readonly received = new Histogram(sizes);

  add(ms: number, sent: number, received: number): void {
    this.durations.add(ms);
    this.sent.add(sent);
    this.received.add(received);
  }
}

/**
 * What OpenTelemetry and gRPC want to know of the calls of one method beside `MethodSeries`, counted while `metrics.names` is
 * `otel`: each call where its method stood when it began.
 */
export class MethodMeter implements CallMeter {
  /** Calls that have begun, and of them those that are over. */
  started = 0;
  over = 0;
  attemptsStarted = 0;
  /** Attempts by their gRPC status. */
  readonly attempts = new Map<number, Ended>();
  /** Calls by their gRPC status, or that of HTTP/1.1: `received` of their callers, `sent` to them. */
  readonly calls = new Map<number, Ended>();
  /** Of calls that had some. */
  readonly retries = new Histogram(attempts);
  readonly hedges = new Histogram(attempts);
  readonly transparent = new Histogram(attempts);
  /** Seconds. */
  readonly delays = new Histogram(delays);

  attemptStarted(): void {
    this.attemptsStarted++;
  }

  attemptEnded(status: number, ms: number, sent: number, received: number): void {
    of(this.attempts, status).add(ms, sent, received);
  }

  finished(call: Call, { status }: Outcome, ms: number): void {
    this.over++;
    const { protocol, webSocket, httpStatus, bytesSent, bytesReceived, further } = call;
    of(this.calls, protocol === "http1" || webSocket ? httpStatus : status).add(ms, bytesSent, bytesReceived);
    if (further === undefined) return;
    if (further.retries > 0) this.retries.add(further.retries);
    if (further.hedges > 0) this.hedges.add(further.hedges);
    if (further.transparent > 0) this.transparent.add(further.transparent);
    if (further.delay > 0) this.delays.add(further.delay / 1000);
  }
}

function of(all: Map<number, Ended>, status: number): Ended {
  const known = all.get(status);
  if (known !== undefined) return known;
  const made = new Ended();
  all.set(status, made);
  return made;
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import type { Call } from "../../../src/http/call.ts";
import { HeaderTable } from "../../../src/http/headers.ts";
import { traceContextOf } from "../../../src/http/trace-context.ts";
import type { TracingOptions } from "../../../src/observability/tracing/options.ts";
import type { SpanRecord } from "../../../src/observability/tracing/span.ts";
import { Tracer } from "../../../src/observability/tracing/tracer.ts";
import { makeCall } from "../../filters/make-call.ts";
import { FakeClock } from "../../support/clock.ts";
import type { PlainField } from "../../support/hpack-peer.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const sampled: PlainField = ["traceparent", `00-${TRACE}-${SPAN}-01`];
const unsampled: PlainField = ["traceparent", `00-${TRACE}-${SPAN}-00`];
const OK = { status: 0, reason: undefined, origin: "app", detail: undefined } as const;
const LOST = { status: 14, reason: "UPSTREAM_LOST", origin: "proxy", detail: "x" } as const;
const headers = new HeaderTable();

function harness(more: Partial<TracingOptions> = {}, random = 0.5) {
  const clock = new FakeClock();
  const lines: { msg: string }[] = [];
  const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const services = { clock, log, random: () => random, service: "s", version: "1", idOf: () => "abcd-1" };
  const tracer = new Tracer(services);
  const options = { protocol: "grpc", sampling: 0, errors: "sampled", correlate: "none", headers: new Map() } as const;
  // The address is nobody's, so that what is exported stays in the queue.
  tracer.apply({ ...options, otlp: "http://127.0.0.1:1", ...more });
  tracer.queue.exporter = undefined;
  const spans = (): readonly SpanRecord[] => Reflect.get(tracer.queue, "waiting");
  return { tracer, spans, lines };
}

/** A call with one attempt; returns what the next hop reads. */
function begun(tracer: Tracer, call: Call) {
  tracer.begin(call);
  call.attempts = 1;
  return tracer.inject(headers, call, call.head);
}

function inbound(...metadata: PlainField[]): Call {
  const call = makeCall(metadata);
  Object.defineProperty(call, "direction", { value: "inbound" });
  return call;
}

test("a trace that comes in is recorded as its sender says, whatever the rate", () => {
  const never = harness({ sampling: 0 });
  const call = makeCall([sampled]);
  const head = begun(never.tracer, call);
  never.tracer.finish(call, OK);
  const [span] = never.spans();
  assert.deepEqual([span?.traceId, span?.parentId], [TRACE, SPAN]);
  assert.equal(head.get("traceparent"), `00-${TRACE}-${span?.spanId}-01`);
  const always = harness({ sampling: 1 });
  const other = makeCall([unsampled]);
  assert.equal(begun(always.tracer, other), other.head);
  always.tracer.finish(other, LOST);
  assert.deepEqual(always.spans(), []);
});

test("B3 may leave the decision open, and denies without ids", () => {
  const { tracer, spans } = harness({ sampling: 0.6 });
  const open = makeCall([["b3", `${TRACE}-${SPAN}`]]);
  assert.match(begun(tracer, open).get("b3") ?? "", new RegExp(`^${TRACE}-[0-9a-f]{16}-1$`));
  const denied = makeCall([["x-b3-sampled", "0"]]);
  assert.equal(begun(tracer, denied), denied.head);
  tracer.finish(denied, OK);
  assert.equal(spans().length, 0);
});

test("a trace that begins here is recorded by the rate, and where it is not the next hop is told so, once", () => {
  const { tracer } = harness({ sampling: 0.4 });
  const no = begun(tracer, makeCall());
  assert.deepEqual([no.get("x-b3-sampled"), no.get("traceparent")], ["0", undefined]);
  const next = begun(tracer, makeCall([["x-b3-sampled", "0"]]));
  assert.deepEqual([...next.entries()].filter(([name]) => name === "x-b3-sampled").length, 1);
  const yes = traceContextOf(begun(harness({ sampling: 0.6 }).tracer, makeCall()));
  assert.equal(yes?.sampled, true);
});

test("the head of a call that is not recorded is the same object each time, so that nothing is worked out again", () => {
  const { tracer } = harness();
  const metadata: PlainField[] = [["x-a", "b"]];
  const fields = headers.head([[":path", "/a.B/C"], ...metadata]);
  const lists = [1, 2].map(() => {
    const call = makeCall();
    call.head = fields;
    return begun(tracer, call).list;
  });
  assert.equal(lists[0], lists[1]);
});

test("a failure is exported although its trace is not recorded, where that is asked for", () => {
  const { tracer, spans } = harness({ errors: "always" });
  const good = makeCall([unsampled]);
  assert.equal(begun(tracer, good), good.head);
  tracer.finish(good, OK);
  assert.equal(spans().length, 0);
  const bad = makeCall([unsampled]);
  assert.equal(begun(tracer, bad), bad.head);
  tracer.finish(bad, LOST);
  assert.deepEqual([spans()[0]?.traceId, spans()[0]?.parentId, spans()[0]?.error], [TRACE, SPAN, "UPSTREAM_LOST"]);
  const begins = makeCall();
  const head = traceContextOf(begun(tracer, begins));
  assert.equal(head?.sampled, false);
  tracer.finish(begins, LOST);
  assert.deepEqual([spans()[1]?.traceId, spans()[1]?.spanId], [head?.traceId, head?.spanId]);
});

test("an application whose calls come without a context during traced ones is told of, once", () => {
  const { tracer, lines } = harness();
  begun(tracer, inbound(sampled));
  for (let call = 0; call < 30; call++) begun(tracer, makeCall());
  assert.equal(lines.length, 1);
  assert.match(lines[0]?.msg ?? "", /the application does not propagate the trace context/);
  assert.equal(tracer.propagation.lost, 30);
});

test("nobody is blamed whose calls have a context, or who has no traced call under way", () => {
  const keeps = harness();
  const call = inbound(sampled);
  begun(keeps.tracer, call);
  begun(keeps.tracer, makeCall([sampled]));
  for (let other = 0; other < 30; other++) begun(keeps.tracer, makeCall());
  assert.deepEqual(keeps.lines, []);
  const idle = harness();
  begun(idle.tracer, call);
  idle.tracer.finish(call, OK);
  for (let other = 0; other < 30; other++) begun(idle.tracer, makeCall());
  assert.deepEqual([idle.lines, idle.tracer.propagation.lost], [[], 0]);
});

test("correlation takes the only traced call for the parent, and none of several", () => {
  const { tracer } = harness({ correlate: "singleFlight" });
  const only = inbound(sampled);
  const server = traceContextOf(begun(tracer, only));
  const child = makeCall();
  assert.equal(traceContextOf(begun(tracer, child))?.traceId, TRACE);
  assert.equal(child.trace?.parentId, server?.spanId);
  begun(tracer, inbound(sampled));
  assert.equal(begun(tracer, makeCall()).get("x-b3-sampled"), "0");
});

test("without tracing a call is left alone", () => {
  const { tracer, spans } = harness();
  tracer.apply(undefined);
  const call = makeCall([sampled]);
  assert.equal(begun(tracer, call), call.head);
  tracer.finish(call, LOST);
  assert.equal(spans().length, 0);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { traceContextOf, traceFields } from "../../src/http/trace-context.ts";

const table = new HeaderTable();
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

function of(...fields: readonly (readonly [string, string])[]) {
  return traceContextOf(table.head(fields));
}

test("a W3C context is read, sampled or not, also of versions to come", () => {
  const expected = { format: "w3c", traceId: TRACE, spanId: SPAN };
  assert.deepEqual(of(["traceparent", `00-${TRACE}-${SPAN}-01`]), { ...expected, sampled: true });
  assert.deepEqual(of(["traceparent", `00-${TRACE}-${SPAN}-00`]), { ...expected, sampled: false });
  assert.deepEqual(of(["traceparent", `00-${TRACE}-${SPAN}-03`]), { ...expected, sampled: true });
  assert.deepEqual(of(["traceparent", `cc-${TRACE}-${SPAN}-01-what-comes`]), { ...expected, sampled: true });
});

test("B3 is read in one field and in several, with short trace ids and with the decision left open", () => {
  assert.deepEqual(of(["b3", `${TRACE}-${SPAN}-1`]), { format: "b3", traceId: TRACE, spanId: SPAN, sampled: true });
  assert.deepEqual(of(["b3", `${TRACE}-${SPAN}-0-${SPAN}`])?.sampled, false);
  assert.deepEqual(of(["b3", `${TRACE}-${SPAN}-d`])?.sampled, true);
  assert.equal(of(["b3", `${TRACE}-${SPAN}`])?.sampled, undefined);
  assert.equal(of(["b3", `${SPAN}-${SPAN}-1`])?.traceId, `${"0".repeat(16)}${SPAN}`);
  const several = [
    ["x-b3-traceid", TRACE.toUpperCase()],
    ["x-b3-spanid", SPAN],
  ] as const;
  assert.deepEqual(of(...several), { format: "b3multi", traceId: TRACE, spanId: SPAN, sampled: undefined });
  assert.equal(of(...several, ["x-b3-sampled", "0"])?.sampled, false);
  assert.equal(of(...several, ["x-b3-sampled", "0"], ["x-b3-flags", "1"])?.sampled, true);
});

test("what is malformed is as if it were not there", () => {
  for (const text of [
    "",
    `00-${TRACE}-${SPAN}`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  ])
    assert.equal(of(["traceparent", text]), undefined, text);
  for (const text of ["0", "1", `${TRACE}-${SPAN}-2`, `${TRACE}-xyz-1`])
    assert.equal(of(["b3", text]), undefined, text);
  assert.equal(of(["x-b3-traceid", TRACE]), undefined);
});

test("a malformed W3C context does not hide a B3 one, and a sound one comes first", () => {
  assert.equal(of(["traceparent", "broken"], ["b3", `${TRACE}-${SPAN}-1`])?.format, "b3");
  assert.equal(of(["b3", `${TRACE}-${SPAN}-1`], ["traceparent", `00-${TRACE}-${SPAN}-01`])?.format, "w3c");
});

test("a context is written as it is read", () => {
  for (const format of ["w3c", "b3", "b3multi"] as const)
    for (const sampled of [true, false]) {
      const context = { format, traceId: TRACE, spanId: SPAN, sampled };
      assert.deepEqual(of(...traceFields(context)), context);
    }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeMetrics } from "../../src/observability/application-metrics.ts";
import { Durations } from "../../src/observability/durations.ts";
import { acceptsOpenMetrics, toOpenMetrics } from "../../src/observability/open-metrics.ts";

test("OpenMetrics is given to who asks for it", () => {
  assert.ok(acceptsOpenMetrics("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
  for (const accept of [undefined, "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;q=0"])
    assert.ok(!acceptsOpenMetrics(accept), String(accept));
});

test("a counter's family loses its _total, its samples do not, and the end is said", () => {
  const text = '# HELP a_total A.\n# TYPE a_total counter\na_total{x="1"} 2\n\n# HELP b B.\n# TYPE b gauge\nb 1\n';
  assert.equal(
    toOpenMetrics(text),
    '# HELP a A.\n# TYPE a counter\na_total{x="1"} 2\n# HELP b B.\n# TYPE b gauge\nb 1\n# EOF\n',
  );
});

test("a counter whose name another family has, or that has no _total, is of unknown type", () => {
  const text =
    "# HELP a_total A.\n# TYPE a_total counter\na_total 2\n# HELP a A.\n# TYPE a gauge\na 1\n# TYPE c counter\nc 1\n";
  assert.match(toOpenMetrics(text), /# HELP a_total A\.\n# TYPE a_total unknown\na_total 2\n/);
  assert.match(toOpenMetrics(text), /# TYPE c unknown\nc 1\n/);
});

test("the last traced call of a bucket is its exemplar, for who reads them", () => {
  const durations = new Durations();
  durations.add(1.5, { traceId: "a".repeat(32), ms: 1.5, at: 1000 });
  durations.add(2, { traceId: "b".repeat(32), ms: 2, at: 2000 });
  durations.add(7);
  const text = durations.render("d", 'x="1"', (at) => at + 1_000_000);
  assert.match(text, new RegExp(`le="0.0025"} 2 # {trace_id="${"b".repeat(32)}"} 0.002 1002.000\n`));
  assert.equal(text.match(/trace_id/g)?.length, 1);
  assert.doesNotMatch(durations.render("d", 'x="1"'), /trace_id/);
});

test("what the application has besides us is appended, and what both have is told apart", () => {
  const ours = "# HELP up U.\n# TYPE up gauge\nup 1\n# TYPE d histogram\nd_count 1\n";
  const theirs =
    '# HELP up T.\n# TYPE up gauge\nup{a="up"} 2\n# TYPE d histogram\nd_bucket{le="1"} 3\n# TYPE other gauge\nother 4\n# EOF\n';
  const merged = mergeMetrics(ours, theirs);
  assert.ok(merged.startsWith(ours));
  assert.match(merged, /# HELP application_up T\.\n# TYPE application_up gauge\napplication_up\{a="up"\} 2\n/);
  assert.match(merged, /application_d_bucket\{le="1"\} 3\n/);
  assert.match(merged, /\nother 4\n/);
  assert.doesNotMatch(merged, /EOF/);
});

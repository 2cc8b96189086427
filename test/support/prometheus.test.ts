import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMetrics, sampleValue } from "./prometheus.ts";

const head = "# HELP x_total Some.\n# TYPE x_total counter\n";
const histogram = "# HELP h Some.\n# TYPE h histogram\n";

test("a scrape is read with its escapes", () => {
  const families = parseMetrics(`${head}x_total{a="q\\"b\\\\n\\n",c=""} 3\n\n`);
  assert.deepEqual(families.get("x_total")?.samples, [{ name: "x_total", labels: { a: 'q"b\\n\n', c: "" }, value: 3 }]);
  assert.equal(sampleValue(families, "x_total", { c: "" }), 3);
  assert.equal(sampleValue(families, "x_total", { c: "1" }), undefined);
});

test("what a strict reader would not take is refused", () => {
  const broken: [text: string, why: RegExp][] = [
    [`${head}x_total 1`, /no line feed/],
    [`${head}x_total 1\n${head}x_total{a="b"} 1\n`, /x_total is there twice/],
    [`${head}x_total{a="b"} 1\nx_total{a="b"} 2\n`, /twice/],
    [`${head}y_total 1\n`, /outside its family/],
    [`${head}x_total{a="b\n"} 1\n`, /not a sample/],
    [`${head}x_total{a="b\\d"} 1\n`, /not labels/],
    [`${head}x_total{a="b",a="c"} 1\n`, /a twice/],
    [`${head}x_total Nan\n`, /not a number/],
    ["# TYPE x_total counter\nx_total 1\n", /no help/],
    [`${histogram}h_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n`, /does not grow/],
    [`${histogram}h_bucket{le="1"} 1\nh_sum 1\nh_count 1\n`, /not the count/],
  ];
  for (const [text, why] of broken) assert.throws(() => parseMetrics(text), why);
});

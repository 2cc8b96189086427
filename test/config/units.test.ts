import assert from "node:assert/strict";
import test from "node:test";
import { parseYaml } from "../../src/config/parse-yaml.ts";
import { Reading } from "../../src/config/reading.ts";
import { object } from "../../src/config/schema/object.ts";
import type { Parsed } from "../../src/config/schema/parsed.ts";
import { required } from "../../src/config/schema/type.ts";
import {
  formatDuration,
  formatPercent,
  formatRate,
  formatSize,
  parseDuration,
  parsePercent,
  parseRate,
  parseSize,
  percent,
  size,
} from "../../src/config/schema/units.ts";
import { SourceText } from "../../src/config/source-text.ts";
import { vocabulary } from "../../src/config/vocabulary.ts";

type Row = readonly [string, number, string];

function read(parsed: Parsed<number>): number {
  assert.ok(parsed.kind === "value", JSON.stringify(parsed));
  return parsed.value;
}

function suggestionOf(parsed: Parsed<number>): string | undefined {
  assert.ok(parsed.kind === "problem", JSON.stringify(parsed));
  return parsed.suggestion;
}

/** What is written, what it is, and how it is written back. */
function readsAndWrites(
  rows: readonly Row[],
  parse: (text: string) => Parsed<number>,
  format: (value: number) => string,
): void {
  for (const [text, value, written] of rows) {
    assert.equal(read(parse(text)), value, text);
    assert.equal(format(value), written, text);
    assert.equal(read(parse(written)), value, written);
  }
}

test("durations are read into milliseconds and written in the largest whole unit", () => {
  const rows: Row[] = [
    ["250ms", 250, "250ms"],
    ["2s", 2_000, "2s"],
    ["10m", 600_000, "10m"],
    ["1h", 3_600_000, "1h"],
    ["90s", 90_000, "90s"],
    ["120s", 120_000, "2m"],
    ["0.5h", 1_800_000, "30m"],
    ["1.5s", 1_500, "1500ms"],
    ["0s", 0, "0s"],
    ["0ms", 0, "0s"],
  ];
  readsAndWrites(rows, parseDuration, formatDuration);
});

test("what is nearly a duration is corrected", () => {
  const rows: readonly [string, string | undefined][] = [
    ["5", "5s"],
    ["5 s", "5s"],
    ["5S", "5s"],
    ["5sec", "5s"],
    ["5seconds", "5s"],
    ["5msec", "5ms"],
    ["5min", "5m"],
    ["5hours", "5h"],
    ["2d", "48h"],
    ["1h30m", "90m"],
    ["1m30s", "90s"],
    ["99999999h1m", undefined],
    ["5constructor", undefined],
    ["-5s", undefined],
    ["s", undefined],
    ["", undefined],
    ["0.0001s", undefined],
    [".5s", undefined],
  ];
  for (const [text, suggestion] of rows) assert.equal(suggestionOf(parseDuration(text)), suggestion, text);
});

test("rates are read into calls a second and written in the shortest whole span", () => {
  const rows: Row[] = [
    ["10/s", 10, "10/s"],
    ["0.5/s", 0.5, "30/m"],
    ["600/m", 10, "10/s"],
    ["90/m", 1.5, "90/m"],
    ["1/h", 1 / 3600, "1/h"],
    ["100/h", 100 / 3600, "100/h"],
  ];
  readsAndWrites(rows, parseRate, formatRate);
});

test("what is nearly a rate is corrected", () => {
  const rows: readonly [string, string | undefined][] = [
    ["10", "10/s"],
    ["10/sec", "10/s"],
    ["10 /s", "10/s"],
    ["10 per minute", "10/m"],
    ["10rps", "10/s"],
    ["10/d", undefined],
    ["/s", undefined],
    ["-1/s", undefined],
    ["0/s", undefined],
  ];
  for (const [text, suggestion] of rows) assert.equal(suggestionOf(parseRate(text)), suggestion, text);
});

test("percentages are shares of one, without the errors of binary fractions", () => {
  const rows: Row[] = [
    ["50%", 0.5, "50%"],
    ["0.1%", 0.001, "0.1%"],
    ["7%", 7 / 100, "7%"],
    ["100%", 1, "100%"],
    ["0%", 0, "0%"],
    ["33.3%", 33.3 / 100, "33.3%"],
  ];
  readsAndWrites(rows, parsePercent, formatPercent);
  assert.equal(suggestionOf(parsePercent("50")), "50%");
  assert.equal(suggestionOf(parsePercent("101%")), undefined);
  assert.equal(suggestionOf(parsePercent("half")), undefined);
});

test("sizes are read into bytes and written in the largest whole unit", () => {
  const rows: Row[] = [
    ["512B", 512, "512B"],
    ["64KiB", 65_536, "64KiB"],
    ["10MiB", 10_485_760, "10MiB"],
    ["1GiB", 1_073_741_824, "1GiB"],
    ["1024KiB", 1_048_576, "1MiB"],
    ["0.5KiB", 512, "512B"],
    ["0B", 0, "0B"],
  ];
  readsAndWrites(rows, parseSize, formatSize);
});

test("what is nearly a size is corrected", () => {
  const rows: readonly [string, string | undefined][] = [
    ["64", "64B"],
    ["64KB", "64KiB"],
    ["64k", "64KiB"],
    ["64 KiB", "64KiB"],
    ["1gb", "1GiB"],
    ["10bytes", "10B"],
    ["0.1B", undefined],
    ["1TiB", undefined],
    ["KiB", undefined],
  ];
  for (const [text, suggestion] of rows) assert.equal(suggestionOf(parseSize(text)), suggestion, text);
});

test("percentages and sizes are types of keys like the others", () => {
  const type = object({ share: required(percent(), "A share."), limit: required(size(), "A limit.") });
  const read = (text: string) => {
    const reading = new Reading(new SourceText("f", text), vocabulary);
    const tree = parseYaml(reading.source, {}, (start, path, problem) => reading.report(start, path, problem));
    assert.ok(tree !== undefined);
    return { value: type.read(tree, { path: [], pattern: "" }, reading), issues: reading.issues };
  };
  const right = read("share: 0.1%\nlimit: 64KiB\n");
  assert.deepEqual(right, { value: { share: 0.001, limit: 65_536 }, issues: [] });
  assert.deepEqual(right.value && type.write(right.value), { share: "0.1%", limit: "64KiB" });
  assert.deepEqual(
    read("share: 0.5\nlimit: 4096\n").issues.map(({ suggestion }) => suggestion),
    ["50%", "4096B"],
  );
  assert.deepEqual(
    read("share: 50\nlimit: much\n").issues.map(({ suggestion }) => suggestion),
    ["50%", undefined],
  );
});

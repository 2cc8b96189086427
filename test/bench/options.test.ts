import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions } from "./options.ts";

function parse(...args: string[]) {
  const options = parseOptions(args, "results");
  assert.ok(options !== "help");
  return options;
}

test("without options everything is measured and written to the results", () => {
  const { peers, cases, rounds, out } = parse();
  assert.deepEqual({ peers, cases, rounds, out }, { peers: undefined, cases: undefined, rounds: 3, out: "results" });
});

test("a part of a run does not overwrite the results unless told to", () => {
  for (const part of [["--quick"], ["--peers", "envoy"], ["--cases", "rate"], ["--node", "node"]]) {
    assert.equal(parse(...part).out, undefined, part.join(" "));
  }
  assert.equal(parse("--quick", "--out", "elsewhere").out, "elsewhere");
});

test("what is given with --quick counts before what it stands for", () => {
  const { rounds, seconds, cases } = parse("--quick", "--rounds", "2", "--cases", "download,rate");
  assert.deepEqual({ rounds, seconds, cases }, { rounds: 2, seconds: 1, cases: ["download", "rate"] });
});

test("rounds and seconds are bounded", () => {
  assert.throws(() => parse("--rounds", "0"), /--rounds must be a number from 1 to 20, not "0"/);
  assert.throws(() => parse("--rounds", "many"), /--rounds must be a number from 1 to 20, not "many"/);
  assert.throws(() => parse("--seconds", "61"), /--seconds must be a number from 0.2 to 60, not "61"/);
});

test("an unknown option is an error", () => {
  assert.throws(() => parse("--round", "1"), /--round/);
});

import assert from "node:assert/strict";
import test from "node:test";
import { substitute } from "../../src/config/substitute.ts";

const env = { NAME: "user", EMPTY: "", NESTED: "${NAME}", _x1: "y" };

const done: readonly [string, string, readonly string[], boolean][] = [
  ["plain", "plain", [], false],
  ["${NAME}", "user", ["NAME"], true],
  ["${NAME:-other}", "user", ["NAME"], true],
  ["${NONE:-other}", "other", [], true],
  ["${NONE:-}", "", [], true],
  ["${EMPTY}", "", ["EMPTY"], true],
  ["${EMPTY:-other}", "other", [], true],
  ["${NONE:-a:-b $x}", "a:-b $x", [], true],
  ["a-${NAME}-b", "a-user-b", ["NAME"], false],
  ["${NAME}${NAME}", "useruser", ["NAME", "NAME"], false],
  ["${_x1}", "y", ["_x1"], true],
  ["$${NAME}", "${NAME}", [], false],
  ["$$${NAME}", "$${NAME}", [], false],
  ["${NAME}$${NAME}", "user${NAME}", ["NAME"], false],
  ["$NAME $ {NAME} {}", "$NAME $ {NAME} {}", [], false],
  ["${NESTED}", "${NAME}", ["NESTED"], true],
];

for (const [text, expected, names, whole] of done) {
  test(`${text} becomes ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(substitute(text, env), { kind: "done", text: expected, substitution: { names, whole } });
  });
}

const failed: readonly [string, readonly [number, RegExp][]][] = [
  ["${NONE}", [[0, /^the environment variable NONE is not set$/]]],
  [
    "ab${NONE}${ALSO}",
    [
      [2, /NONE/],
      [9, /ALSO/],
    ],
  ],
  ["${toString}", [[0, /toString is not set/]]],
  ["x${NAME", [[1, /without its }/]]],
  ["${}", [[0, /names no variable/]]],
  ["${1A}", [[0, /names no variable/]]],
  ["${A B}", [[0, /names no variable/]]],
  ["${NAME:other}", [[0, /names no variable/]]],
];

for (const [text, problems] of failed) {
  test(`${text} is refused at its place`, () => {
    const result = substitute(text, env);
    assert.ok(result.kind === "failed");
    assert.deepEqual(
      result.problems.map(({ offset }) => offset),
      problems.map(([offset]) => offset),
    );
    for (const [index, [, message]] of problems.entries()) assert.match(result.problems[index]?.message ?? "", message);
  });
}

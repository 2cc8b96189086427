import assert from "node:assert/strict";
import test from "node:test";
import { SourceText } from "../../src/config/source-text.ts";

test("an offset has its line and column, counted from one", () => {
  const source = new SourceText("f", "ab\n\ncd\r\ne");
  const positions = Array.from(source.text)
    .map((_, offset) => source.position(offset))
    .map(({ line, column }) => `${line}:${column}`);
  assert.deepEqual(positions, ["1:1", "1:2", "1:3", "2:1", "3:1", "3:2", "3:3", "3:4", "4:1"]);
  assert.deepEqual(source.position(source.text.length), { line: 4, column: 2 });
});

test("lines come without their break, however it is written", () => {
  const source = new SourceText("f", "ab\n\ncd\r\ne");
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((line) => source.line(line)),
    ["ab", "", "cd", "e", ""],
  );
});

test("a byte order mark takes no column", () => {
  const source = new SourceText("f", "\uFEFFab");
  assert.equal(source.text, "ab");
  assert.deepEqual(source.position(1), { line: 1, column: 2 });
});

test("a character beyond 16 bits is one column", () => {
  assert.deepEqual(new SourceText("f", "🚀é: x").position(5), { line: 1, column: 5 });
});

test("an offset is named with its file", () => {
  assert.equal(new SourceText("a/b.yaml", "x\n yz").label(4), "a/b.yaml:2:3");
});

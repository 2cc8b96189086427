import assert from "node:assert/strict";
import { test } from "node:test";
import { remembered } from "../../src/core/remembered.ts";

function counted(): { readonly decide: (text: string) => number; readonly asked: string[] } {
  const asked: string[] = [];
  const decide = remembered((text) => {
    asked.push(text);
    return text.length;
  });
  return { decide, asked };
}

test("what was decided of a text is not decided again", () => {
  const { decide, asked } = counted();
  for (let n = 0; n < 3; n++) assert.equal(decide("abc"), 3);
  assert.deepEqual(asked, ["abc"]);
});

test("nothing is a decision, too", () => {
  let asked = 0;
  const decide = remembered(() => {
    asked++;
    return null;
  });
  assert.equal(decide("a"), null);
  assert.equal(decide("a"), null);
  assert.equal(asked, 1);
});

test("1,024 texts are remembered, and the next one begins anew", () => {
  const { decide, asked } = counted();
  for (let n = 0; n < 1024; n++) decide(`text ${n}`);
  decide("text 0");
  assert.equal(asked.length, 1024);
  decide("one more");
  decide("text 0");
  assert.equal(asked.length, 1026);
});

test("a text of 1,024 characters is remembered, and a longer one is decided each time", () => {
  const { decide, asked } = counted();
  for (const length of [1024, 1024, 1025, 1025]) assert.equal(decide("x".repeat(length)), length);
  assert.deepEqual(
    asked.map(({ length }) => length),
    [1024, 1025, 1025],
  );
});

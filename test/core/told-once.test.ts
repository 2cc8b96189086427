import assert from "node:assert/strict";
import { test } from "node:test";
import { ToldOnce } from "../../src/core/told-once.ts";

test("each who waits is told once, and who has given it up is not", () => {
  const waiting = new ToldOnce();
  const told: string[] = [];
  waiting.add(() => told.push("one"));
  const giveUp = waiting.add(() => told.push("other"));
  giveUp();
  giveUp();
  waiting.tell();
  waiting.tell();
  assert.deepEqual(told, ["one"]);
});

test("who begins to wait while others are told waits for the next time, and who is given up meanwhile is not told", () => {
  const waiting = new ToldOnce();
  const told: string[] = [];
  waiting.add(() => {
    told.push("first");
    waiting.add(() => told.push("again"));
    giveUp();
  });
  const giveUp = waiting.add(() => told.push("second"));
  waiting.tell();
  assert.deepEqual(told, ["first"]);
  waiting.tell();
  assert.deepEqual(told, ["first", "again"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Budgets } from "../../src/http2/budgets.ts";
import { ConnectionError, ErrorCode } from "../../src/http2/errors.ts";
import { defaultLimits } from "../../src/http2/limits.ts";

const limits = { ...defaultLimits.budgets, pings: { burst: 3, rate: 2 }, settings: { burst: 1, rate: 1 } };

function over(budgets: Budgets, now: number): void {
  assert.throws(
    () => budgets.spend("pings", now),
    (error) => error instanceof ConnectionError && error.code === ErrorCode.ENHANCE_YOUR_CALM,
  );
}

test("a burst is taken whole, and one more ends the connection with a reason that names the limit", () => {
  const budgets = new Budgets(limits);
  for (let at = 0; at < 3; at++) budgets.spend("pings", 0);
  assert.throws(() => budgets.spend("pings", 0), { message: "more pings than 3 at once and 2/s" });
});

test("a budget fills at its rate", () => {
  const budgets = new Budgets(limits);
  for (let at = 0; at < 3; at++) budgets.spend("pings", 0);
  budgets.spend("pings", 500);
  over(budgets, 999);
  budgets.spend("pings", 1000);
  over(budgets, 1001);
});

test("a budget that was left alone for long holds its burst and no more", () => {
  const budgets = new Budgets(limits);
  for (let at = 0; at < 3; at++) budgets.spend("pings", 0);
  for (let at = 0; at < 3; at++) budgets.spend("pings", 1e6);
  over(budgets, 1e6);
});

test("budgets do not share", () => {
  const budgets = new Budgets(limits);
  for (let at = 0; at < 3; at++) budgets.spend("pings", 0);
  budgets.spend("settings", 0);
  assert.throws(() => budgets.spend("settings", 0));
});

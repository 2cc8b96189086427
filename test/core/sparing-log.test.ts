import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { SparingLog } from "../../src/core/sparing-log.ts";
import { FakeClock } from "../support/clock.ts";

test("twenty lines are written at once and two a second after that, and the next line says how many were left out", () => {
  const clock = new FakeClock();
  const seen: unknown[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => seen.push(JSON.parse(line)) });
  const lines = new SparingLog(log, "warn", "a fault", clock);
  const tell = (count: number): unknown[] => {
    seen.length = 0;
    for (let at = 0; at < count; at++) lines.tell({ at });
    return seen;
  };
  assert.equal(tell(20).length, 20);
  assert.deepEqual(seen[19], { level: 40, at: 19, msg: "a fault" });
  assert.deepEqual(tell(7), []);
  clock.advance(500);
  assert.deepEqual(tell(3), [{ level: 40, at: 0, suppressed: 7, msg: "a fault" }]);
  clock.advance(500);
  assert.deepEqual(tell(1), [{ level: 40, at: 0, suppressed: 2, msg: "a fault" }]);
  clock.advance(60_000);
  assert.equal(tell(30).length, 20);
  log.level = "error";
  clock.advance(60_000);
  assert.deepEqual(tell(30), []);
  log.level = "info";
  assert.deepEqual(tell(1), [{ level: 40, at: 0, suppressed: 10, msg: "a fault" }]);
});

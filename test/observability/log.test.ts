import assert from "node:assert/strict";
import { test } from "node:test";
import { createLog, type Log, type LogLevel } from "../../src/observability/log.ts";
import { FakeClock } from "../support/clock.ts";

function log(level: LogLevel = "info"): { log: Log; lines: () => unknown[] } {
  const lines: unknown[] = [];
  const sink = {
    write: (line: string): void => {
      assert.ok(line.endsWith("\n") && line.indexOf("\n") === line.length - 1, "one line");
      lines.push(JSON.parse(line));
    },
  };
  const made = createLog({ service: "user", version: "1.2.3", level, clock: new FakeClock(), sink });
  return { log: made, lines: () => lines };
}

test("a line is JSON with level, time, service, version and message", () => {
  const { log: made, lines } = log();
  made.logger.warn({ upstream: "orders" }, "no\nendpoint");
  assert.deepEqual(lines(), [
    {
      level: "warn",
      time: "2030-01-01T00:00:00.000Z",
      service: "user",
      version: "1.2.3",
      upstream: "orders",
      msg: "no\nendpoint",
    },
  ]);
});

test("the level changes while running, for children that were made before too", () => {
  const { log: made, lines } = log("warn");
  const child = made.logger.child({ source: "consul" });
  const grandchild = child.child({ name: "orders" });
  for (const logger of [made.logger, child, grandchild]) logger.info("not yet");
  made.setLevel("debug");
  assert.equal(made.level, "debug");
  for (const logger of [made.logger, child, grandchild]) logger.debug("now");
  made.setLevel("silent");
  for (const logger of [made.logger, child, grandchild]) logger.fatal("no more");
  assert.deepEqual(
    lines().map((line) => Object(line).msg),
    ["now", "now", "now"],
  );
});

test("lines of calls do not depend on the level, except silence", () => {
  const { log: made, lines } = log("error");
  made.calls.info("one");
  made.setLevel("fatal");
  made.calls.info("two");
  made.setLevel("silent");
  made.calls.info("none");
  made.setLevel("info");
  made.calls.info("three");
  assert.deepEqual(
    lines().map((line) => Object(line).msg),
    ["one", "two", "three"],
  );
});

test("an error is logged with its cause, and without what hangs on it", () => {
  const { log: made, lines } = log();
  const cause = Object.assign(new Error("connect refused"), {
    code: "ECONNREFUSED",
    request: { headers: { "x-consul-token": "s3cret" } },
  });
  const several = new AggregateError([cause, "not an error"], "both failed");
  made.logger.error({ err: new Error("consul does not answer", { cause }) }, "one");
  made.logger.error({ err: several }, "two");
  made.logger.error({ err: 5 }, "three");
  const text = JSON.stringify(lines());
  assert.ok(!text.includes("s3cret"), text);
  const [one, two, three] = lines().map((line) => Object(line).err);
  assert.equal(one.type, "Error");
  assert.equal(one.message, "consul does not answer");
  assert.match(one.stack, /log\.test\.ts/);
  assert.deepEqual(
    { ...one.cause, stack: "" },
    { type: "Error", message: "connect refused", code: "ECONNREFUSED", stack: "" },
  );
  assert.deepEqual(
    two.errors.map((error: unknown) => Object(error).message),
    ["connect refused", "not an error"],
  );
  assert.deepEqual(three, { type: "number", message: "5" });
});

test("an error that is its own cause ends", () => {
  const { log: made, lines } = log();
  const error = new Error("round");
  error.cause = error;
  made.logger.error({ err: error }, "round");
  assert.ok(JSON.stringify(lines()).length < 40_000);
});

test("texts that others choose are clipped wherever they stand: in fields, messages and errors", () => {
  const { log: made, lines } = log();
  const long = "x".repeat(100_000);
  made.logger.info({ path: long, short: "y", number: 1 }, "a path");
  made.logger.warn(long);
  made.logger.error({ err: new Error(long, { cause: new Error(long) }) }, `it failed: ${long}`);
  const [fields, message, error] = lines() as Record<string, string>[];
  assert.deepEqual([fields?.path?.length, fields?.short, fields?.number, fields?.msg], [2049, "y", 1, "a path"]);
  assert.equal(message?.msg?.length, 65_537);
  assert.ok(JSON.stringify({ ...error, msg: "" }).length < 15_000);
  assert.ok((error?.msg ?? "").startsWith("it failed: x"));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { overLimitOf } from "../../src/proxy/over-limit.ts";

/** Fields of an answer. */
const fields = (all: Readonly<Record<string, string>>) => ({ get: (name: string) => all[name] });

test("only an answer that says so comes from an endpoint that has too many calls", () => {
  assert.equal(overLimitOf(0, undefined, fields({ "grpc-retry-pushback-ms": "5" })), undefined);
  assert.equal(overLimitOf(14, undefined, undefined), undefined);
  assert.equal(overLimitOf(8, undefined, undefined), 0);
  assert.equal(overLimitOf(8, "RATE_LIMIT", undefined), 0);
  assert.equal(overLimitOf(14, "CONCURRENCY", undefined), 0, "an unprocessed one is told as UNAVAILABLE");
  assert.equal(overLimitOf(8, "HEADERS_TOO_LARGE", undefined), undefined, "the caller has sent too much");
  assert.equal(overLimitOf(14, "NOT_GRPC", fields({ ":status": "429" })), 0);
  assert.equal(overLimitOf(14, "NOT_GRPC", fields({ ":status": "503" })), undefined);
  assert.equal(overLimitOf(14, undefined, fields({ ":status": "429", "retry-after": "7" })), 7000);
});

test("when to come again is gRPC's word before HTTP's, and only in numbers", () => {
  const both = { "grpc-retry-pushback-ms": "1500", "retry-after": "7" };
  assert.equal(overLimitOf(8, undefined, fields(both)), 1500);
  assert.equal(overLimitOf(8, undefined, fields({ ...both, "grpc-retry-pushback-ms": "-1" })), 7000);
  assert.equal(overLimitOf(8, undefined, fields({ "retry-after": "Fri, 31 Dec 1999 23:59:59 GMT" })), 0);
});

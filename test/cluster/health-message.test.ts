import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeResponse, encodeRequest } from "../../src/cluster/health-message.ts";

/** A gRPC message: not compressed, its length, its octets. */
const message = (...octets: number[]) => Buffer.from([0, 0, 0, 0, octets.length, ...octets]);

test("a request for the server as a whole is an empty message", () => {
  assert.deepEqual(encodeRequest(""), message());
});

test("a request for a service holds its name in UTF-8, however long", () => {
  assert.deepEqual(encodeRequest("a.B"), message(0x0a, 3, 0x61, 0x2e, 0x42));
  assert.deepEqual(encodeRequest("é"), message(0x0a, 2, 0xc3, 0xa9));
  const long = encodeRequest("x".repeat(300));
  assert.deepEqual(long.subarray(0, 8), Buffer.from([0, 0, 0, 1, 0x2f, 0x0a, 0xac, 0x02]));
  assert.equal(long.length, 5 + 3 + 300);
});

test("a response is serving only if it says so", () => {
  assert.equal(decodeResponse(message(0x08, 1)), "SERVING");
  assert.equal(decodeResponse(message(0x08, 2)), "NOT_SERVING");
  assert.equal(decodeResponse(message(0x08, 3)), "NOT_SERVING");
  assert.equal(decodeResponse(message(0x08, 0)), "NOT_SERVING");
  assert.equal(decodeResponse(message()), "NOT_SERVING", "UNKNOWN is 0, and proto3 leaves it out");
});

test("of a status that stands twice the last one counts", () => {
  assert.equal(decodeResponse(message(0x08, 1, 0x08, 2)), "NOT_SERVING");
});

test("fields that are not known are passed over", () => {
  const unknown = [0x12, 2, 8, 2, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4, 0x28, 0xff, 0x01];
  assert.equal(decodeResponse(message(...unknown, 0x08, 1)), "SERVING");
});

test("what is no response is told apart", () => {
  for (const [what, octets] of Object.entries({
    nothing: [],
    "no whole prefix": [0, 0, 0],
    "a compressed message": [1, 0, 0, 0, 2, 8, 1],
    "a message that is cut": [0, 0, 0, 0, 3, 8, 1],
    "a message and more": [0, 0, 0, 0, 2, 8, 1, 0],
    "a tag without a value": [0, 0, 0, 0, 1, 8],
    "a string that is cut": [0, 0, 0, 0, 3, 0x12, 9, 1],
    "a fixed value that is cut": [0, 0, 0, 0, 3, 0x25, 1, 2],
    "a group, which proto3 has not": [0, 0, 0, 0, 2, 0x0b, 0x0c],
    "a varint without an end": [0, 0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
  })) {
    assert.equal(decodeResponse(Buffer.from(octets)), undefined, what);
  }
});

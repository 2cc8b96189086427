import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerDigest } from "../../src/proxy/answer-digest.ts";

function digestOf(whole: Buffer, piece: number): AnswerDigest {
  const digest = new AnswerDigest();
  for (let at = 0; at < whole.length; at += piece) digest.data(whole, at, Math.min(whole.length, at + piece));
  return digest;
}

test("a digest does not depend on the pieces that an answer comes in, and depends on each of its first 4 MiB octets", () => {
  const whole = Buffer.alloc(5 * 1024 * 1024, "answer ");
  const one = digestOf(whole, whole.length);
  const other = digestOf(whole, 16_384);
  assert.deepEqual([other.octets, other.checksum], [one.octets, one.checksum]);
  const changed = Buffer.from(whole);
  changed[4 * 1024 * 1024 - 1] = 0;
  assert.notEqual(digestOf(changed, 1_000_003).checksum, one.checksum);
  const behind = Buffer.from(whole);
  behind[4 * 1024 * 1024] = 0;
  assert.equal(digestOf(behind, 1_000_003).checksum, one.checksum);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { sourceOf } from "../../src/core/source-address.ts";

const cases: readonly (readonly [address: string, source: string])[] = [
  ["10.0.0.1", "10.0.0.1"],
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["::FFFF:10.0.0.1", "10.0.0.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::", "2001:db8:1:2::/64"],
  ["2001:DB8:0001:0002::6", "2001:db8:1:2::/64"],
  ["2001:db8::6", "2001:db8:0:0::/64"],
  ["2001:db8::1:2:3:4:5", "2001:db8:0:1::/64"],
  ["2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"],
  ["2a00::", "2a00:0:0:0::/64"],
  ["3fff:ffff:ffff:ffff::1", "3fff:ffff:ffff:ffff::/64"],
  ["::1", "::1"],
  ["::", "::"],
  ["fd00:1:2:3::4", "fd00:1:2:3::4"],
  ["fe80::1%eth0", "fe80::1%eth0"],
  ["64:ff9b::a00:1", "64:ff9b::a00:1"],
  ["", ""],
  ["unknown", "unknown"],
];

for (const [address, source] of cases)
  test(`behind ${JSON.stringify(address)} is ${JSON.stringify(source)}`, () => assert.equal(sourceOf(address), source));

test("two addresses of one prefix are one source, and of two prefixes two", () => {
  assert.equal(sourceOf("2001:db8:1:2::1"), sourceOf("2001:db8:1:2:ffff:ffff:ffff:ffff"));
  assert.notEqual(sourceOf("2001:db8:1:2::1"), sourceOf("2001:db8:1:3::1"));
});

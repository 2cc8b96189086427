import assert from "node:assert/strict";
import { test } from "node:test";
import { Callers, hostOf } from "../../src/http/callers.ts";

test("connections of one address are one caller, and so are those of one identity from wherever they come", () => {
  const callers = new Callers("inbound");
  const [first, second, other] = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1"].map((peer) =>
    callers.join(undefined, peer),
  );
  assert.equal(first, second);
  assert.notEqual(first, other);
  const verified = ["10.0.0.1:3", "[fd00::1]:4"].map((peer) => callers.join("spiffe://mesh/a", peer));
  assert.equal(verified[0], verified[1]);
  assert.notEqual(verified[0], first);
});

test("the addresses of one IPv6 prefix are one caller", () => {
  const callers = new Callers("inbound");
  const [first, second, other] = ["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8:0:1::1]:1"].map((peer) =>
    callers.join(undefined, peer),
  );
  assert.equal(first, second);
  assert.notEqual(first, other);
});

test("each connection of the application is a caller", () => {
  const callers = new Callers("outbound");
  const [first, second] = ["127.0.0.1:1", "127.0.0.1:2"].map((peer) => callers.join(undefined, peer));
  assert.notEqual(first, second);
});

test("a caller is forgotten with its last connection, and not before", () => {
  const callers = new Callers("inbound");
  const [first, second] = [callers.join(undefined, "10.0.0.1:1"), callers.join(undefined, "10.0.0.1:2")];
  callers.leave(first);
  assert.equal(callers.size, 1);
  assert.equal(callers.join(undefined, "10.0.0.1:3"), second);
  callers.leave(second);
  callers.leave(second);
  assert.equal(callers.size, 0);
});

test("an address has no port, whatever its form", () => {
  assert.deepEqual(["10.0.0.1:80", "[fd00::1]:80", "unix"].map(hostOf), ["10.0.0.1", "[fd00::1]", "unix"]);
});

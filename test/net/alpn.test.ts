import assert from "node:assert/strict";
import { test } from "node:test";
import { choose, isBetweenSidecars, offers } from "../../src/net/alpn.ts";

test("sidecars agree on what their services speak, and know each other by it", () => {
  for (const protocol of ["http1", "tcp"] as const) {
    const agreed = choose(protocol, offers[protocol]);
    assert.equal(isBetweenSidecars(protocol, agreed ?? false), true);
    assert.equal(isBetweenSidecars(protocol, false), false);
  }
  assert.equal(choose(undefined, offers.http2), "h2");
});

test("a service of HTTP/2 takes nothing else, one of HTTP/1.1 both, one of TCP whatever a client calls it", () => {
  assert.equal(choose(undefined, offers.http1), undefined);
  assert.equal(choose(undefined, offers.tcp), undefined);
  assert.equal(choose("http1", ["h2", "http/1.1"]), "http/1.1");
  assert.equal(choose("http1", ["h2"]), "h2");
  assert.equal(choose("http1", ["outrigger-tcp"]), undefined);
  assert.equal(choose("tcp", ["postgresql", "h2"]), "postgresql");
  // Requests pass through it, but what the answers say in a sidecar's name the application has said.
  assert.equal(choose("tcp", offers.http1), "http/1.1");
});

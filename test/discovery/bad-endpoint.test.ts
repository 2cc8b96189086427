import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { badEndpoint, isLoopback, isWildcard } from "../../src/discovery/bad-endpoint.ts";

const tcp = (host: string, port = 80): Address => ({ kind: "tcp", host, port });

test("addresses of instances are good: private, public, loopback, host names, unix sockets", () => {
  const hosts = ["10.1.2.3", "192.168.0.1", "8.8.8.8", "127.0.0.1", "::1", "fd00::1", "2001:db8::1", "db.internal"];
  for (const host of hosts) assert.equal(badEndpoint(tcp(host)), undefined, host);
  assert.equal(badEndpoint({ kind: "unix", path: "/run/a.sock", mode: 0o600 }), undefined);
});

for (const [reason, hosts] of [
  ["is unspecified", ["", "0.0.0.0", "0.1.2.3", "::", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"]],
  ["is link-local", ["169.254.169.254", "fe80::1", "febf::1", "fe80::1%eth0", "::ffff:169.254.0.1"]],
  ["is multicast or broadcast", ["224.0.0.1", "239.255.255.250", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"]],
] as const) {
  test(`an address that ${reason} is bad, however it is written`, () => {
    for (const host of hosts) assert.equal(badEndpoint(tcp(host)), reason, host);
  });
}

test("a port that nobody can listen on is bad", () => {
  assert.equal(badEndpoint(tcp("10.0.0.1", 0)), "has no port");
  assert.equal(badEndpoint(tcp("10.0.0.1", 65_536)), "has no port");
  assert.equal(badEndpoint(tcp("10.0.0.1", 65_535)), undefined);
});

test("a listener of this sidecar is bad, however it is written", () => {
  const own = [tcp("127.0.0.1", 15001), tcp("::1", 15002), { kind: "unix", path: "/run/out.sock", mode: 0 } as const];
  const mine = "is a listener of this sidecar";
  assert.equal(badEndpoint(tcp("127.0.0.1", 15001), own), mine);
  assert.equal(badEndpoint(tcp("::ffff:127.0.0.1", 15001), own), mine);
  assert.equal(badEndpoint(tcp("localhost", 15001), own), mine);
  assert.equal(badEndpoint(tcp("0:0:0:0:0:0:0:1", 15002), own), mine);
  assert.equal(badEndpoint({ kind: "unix", path: "/run/out.sock", mode: 0o600 }, own), mine);
  assert.equal(badEndpoint(tcp("127.0.0.1", 15003), own), undefined);
  assert.equal(badEndpoint(tcp("127.0.0.2", 15001), own), undefined);
  assert.equal(badEndpoint(tcp("10.0.0.1", 15001), own), undefined);
});

test("a listener at a wildcard is at every address of this machine, and at no other", () => {
  for (const wildcard of ["", "0.0.0.0", "::"]) {
    const own = [tcp(wildcard, 15006)];
    const mine = Object.values(networkInterfaces()).flatMap((list) => list?.map(({ address }) => address) ?? []);
    for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost", ...mine]) {
      assert.equal(badEndpoint(tcp(host, 15006), own), "is a listener of this sidecar", host);
    }
    assert.equal(badEndpoint(tcp("203.0.113.7", 15006), own), undefined);
    assert.equal(badEndpoint(tcp("127.0.0.1", 15007), own), undefined);
  }
});

test("loopback and wildcard hosts are told from others", () => {
  for (const host of ["127.0.0.1", "127.1.2.3", "::1", "localhost", "a.LOCALHOST"]) assert.ok(isLoopback(host), host);
  for (const host of ["", "10.0.0.1", "::", "localhost.example"]) assert.ok(!isLoopback(host), host);
  for (const host of ["", "0.0.0.0", "::"]) assert.ok(isWildcard(host), host);
  for (const host of ["127.0.0.1", "::1", "a"]) assert.ok(!isWildcard(host), host);
});

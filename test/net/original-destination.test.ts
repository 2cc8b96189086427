import assert from "node:assert/strict";
import { test } from "node:test";
import { readSockaddr } from "../../src/net/original-destination.ts";

const family = (number: number): number[] => [...new Uint8Array(new Uint16Array([number]).buffer)];

test("a socket's address is read as the kernel writes it, IPv4 and IPv6", () => {
  const v4 = Buffer.from([...family(2), 0xc3, 0x83, 10, 96, 0, 10, ...Array(20).fill(0)]);
  assert.deepEqual(readSockaddr(v4), { kind: "tcp", host: "10.96.0.10", port: 50051 });
  const v6 = Buffer.from([...family(10), 0x1b, 0x58, 0, 0, 0, 0, 0xfd, 0x77, ...Array(13).fill(0), 4, 0, 0, 0, 0]);
  assert.deepEqual(readSockaddr(v6), { kind: "tcp", host: "fd77::4", port: 7000 });
  assert.equal(readSockaddr(Buffer.alloc(28)), undefined);
});

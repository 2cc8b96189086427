import assert from "node:assert/strict";
import test from "node:test";
import { type Address, formatAddress, parseAddress } from "../../src/core/address.ts";

const good: readonly [string, Address][] = [
  ["127.0.0.1:50051", { kind: "tcp", host: "127.0.0.1", port: 50051 }],
  ["localhost:0", { kind: "tcp", host: "localhost", port: 0 }],
  ["user.prod.svc:65535", { kind: "tcp", host: "user.prod.svc", port: 65535 }],
  ["my_service:80", { kind: "tcp", host: "my_service", port: 80 }],
  ["[::1]:15006", { kind: "tcp", host: "::1", port: 15006 }],
  ["[::]:15006", { kind: "tcp", host: "::", port: 15006 }],
  ["[fe80::1%eth0]:1", { kind: "tcp", host: "fe80::1%eth0", port: 1 }],
  [":15006", { kind: "tcp", host: "", port: 15006 }],
  ["unix:/run/app.sock", { kind: "unix", path: "/run/app.sock", mode: 0o600 }],
  ["unix:/run/app.sock?mode=0660", { kind: "unix", path: "/run/app.sock", mode: 0o660 }],
  ["unix:/run/app.sock?mode=0007", { kind: "unix", path: "/run/app.sock", mode: 0o007 }],
];

for (const [text, address] of good) {
  test(`${text} is an address and is written back as it was read`, () => {
    assert.deepEqual(parseAddress(text), address);
    assert.equal(formatAddress(address), text);
  });
}

test("a mode may be written without its leading zero", () => {
  assert.deepEqual(parseAddress("unix:/s?mode=660"), { kind: "unix", path: "/s", mode: 0o660 });
});

const bad: readonly [string, string][] = [
  ["", "the port is missing"],
  ["localhost", "the port is missing"],
  ["localhost:", "the port is missing"],
  ["[::1]", "the port is missing"],
  ["8080", "the port is missing"],
  ["localhost:http", '"http" is not a port'],
  ["localhost:080", '"080" is not a port'],
  ["localhost:-1", '"-1" is not a port'],
  ["localhost:65536", "port 65536 is above 65535"],
  ["localhost:80 ", '"80 " is not a port'],
  ["::1", "an IPv6 address stands in brackets, before its port"],
  ["fe80::1:8080:zz:1", "an IPv6 address stands in brackets, before its port"],
  ["[::1", "the closing bracket is missing"],
  ["[::1]x:80", '"[::1]x" is not an IPv6 address in brackets'],
  ["[127.0.0.1]:80", '"[127.0.0.1]" is not an IPv6 address in brackets'],
  ["127.0.0.256:80", '"127.0.0.256" is not an IPv4 address'],
  ["1.2.3:80", '"1.2.3" is not an IPv4 address'],
  ["*:80", "every address is written as nothing before the colon"],
  ["-a:80", '"-a" is not a host name'],
  ["a..b:80", '"a..b" is not a host name'],
  ["a b:80", '"a b" is not a host name'],
  [`${"a".repeat(64)}:80`, `"${"a".repeat(64)}" is not a host name`],
  ["http://localhost:80", "an address has no scheme, only a host and a port"],
  ["unix:run/app.sock", "the path of a unix socket starts at the root"],
  ["unix:///run/app.sock", "the path of a unix socket has one slash at its start"],
  ["unix:/run/", "the path of a unix socket names a file, not a folder"],
  ["unix:/a\0b", "a path holds no NUL"],
  [`unix:/${"a".repeat(107)}`, "the path has 108 bytes, a unix socket at most 107"],
  ["unix:/a?mode=rw", "after the path only ?mode= may stand, with the mode as three octal digits such as 0660"],
  ["unix:/a?mode=0888", "after the path only ?mode= may stand, with the mode as three octal digits such as 0660"],
];

for (const [text, reason] of bad) {
  test(`${JSON.stringify(text.slice(0, 40))} is no address: ${reason.slice(0, 60)}`, () => {
    assert.equal(parseAddress(text), reason);
  });
}

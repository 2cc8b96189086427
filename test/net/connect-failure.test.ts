import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { type ConnectFailure, connectFailure, connectTimeout } from "../../src/net/connect-failure.ts";

const tcp: Address = { kind: "tcp", host: "10.0.0.7", port: 50051 };
const unix: Address = { kind: "unix", path: "/run/app.sock", mode: 0o600 };

const coded = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

const cases: [address: Address, code: string, reason: ConnectFailure["reason"], message: RegExp][] = [
  [tcp, "ECONNREFUSED", "CONNECT_REFUSED", /^cannot connect to 10\.0\.0\.7:50051: connection refused/],
  [
    tcp,
    "ETIMEDOUT",
    "CONNECT_TIMEOUT",
    /^no connection to 10\.0\.0\.7:50051 within 5000 ms: maybe the machine is gone/,
  ],
  [tcp, "EHOSTUNREACH", "CONNECT_FAILED", /no route to it/],
  [tcp, "ENETUNREACH", "CONNECT_FAILED", /no route to it/],
  [tcp, "ENOTFOUND", "CONNECT_FAILED", /the name does not resolve/],
  [tcp, "EAI_AGAIN", "CONNECT_FAILED", /the DNS server is away/],
  [tcp, "EPERM", "CONNECT_FAILED", /a local firewall rule forbids it/],
  [tcp, "ECONNRESET", "CONNECT_FAILED", /was reset while it was made/],
  [tcp, "EADDRNOTAVAIL", "CONNECT_FAILED", /no local port is free/],
  [tcp, "EMFILE", "CONNECT_FAILED", /too many open files/],
  [tcp, "EWHATEVER", "CONNECT_FAILED", /^cannot connect to 10\.0\.0\.7:50051: connect EWHATEVER$/],
  [unix, "ECONNREFUSED", "CONNECT_REFUSED", /^cannot connect to unix:\/run\/app\.sock: nobody listens/],
  [unix, "ENOENT", "CONNECT_REFUSED", /there is no such socket, maybe its process has not started$/],
  [unix, "EACCES", "CONNECT_FAILED", /this user may not write to the socket$/],
  [unix, "EAGAIN", "CONNECT_FAILED", /queue of connections is full$/],
];

for (const [address, code, reason, message] of cases) {
  test(`${code} of a ${address.kind} address is ${reason}`, () => {
    const failure = connectFailure(address, coded(code), 5000);
    assert.equal(failure.reason, reason);
    assert.match(failure.message, message);
  });
}

test("of a host with several addresses the last error speaks", () => {
  const failure = connectFailure(tcp, new AggregateError([coded("ENETUNREACH"), coded("ECONNREFUSED")]), 5000);
  assert.equal(failure.reason, "CONNECT_REFUSED");
});

test("a unix socket that does not answer has another likely cause", () => {
  assert.match(connectTimeout(unix, 100).message, /within 100 ms: maybe its process is stopped$/);
});
